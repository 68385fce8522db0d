"""Files of the Hugging Face hub: how they are named, and fetching them."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import huggingface_hub
from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE
from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ..encoder.releases import find_release
from .errors import CheckpointNotFoundError, HubAccessError, HubUnavailableError, MissingShardError

_NAME = re.compile(r"(?P<repo>[\w-][\w.-]*/[\w.-]+)(@(?P<revision>[\w./-]+))?(:(?P<file>[^:\\]+))?", re.ASCII)


@dataclass(frozen=True)
class HubSource:
    """A repository of the hub, or a file in one.

    Attributes:
        repo: ``owner/name``.
        revision: Branch, tag or commit; the main branch if None.
        file: Path of one file in it; if None, the weights are found by their usual names.
        subfolder: Where to look for them.
        token: Of the user; True for the one that is stored, None for that if there is one.
        cache_dir: Where files are kept; ``HF_HOME`` decides if None.
    """

    repo: str
    revision: str | None = None
    file: str | None = None
    subfolder: str = ""
    token: str | bool | None = None
    cache_dir: str | os.PathLike[str] | None = None

    @classmethod
    def parse(cls, name: str) -> "HubSource | None":
        """Read ``owner/name``, ``owner/name@revision``, ``owner/name:file`` or ``owner/name@revision:file``."""
        found = _NAME.fullmatch(name)
        return cls(found["repo"], found["revision"], found["file"]) if found else None

    def __str__(self) -> str:
        """As it is parsed."""
        revision, file = f"@{self.revision}" if self.revision else "", f":{self.file}" if self.file else ""
        return f"{self.repo}{revision}{file}"

    def with_options(
        self,
        revision: str | None,
        token: str | bool | None,
        cache_dir: str | os.PathLike[str] | None,
        subfolder: str | None,
    ) -> "HubSource":
        """The same with what was given beside the name.

        Raises:
            ValueError: The name has another revision.
        """
        if revision is not None and self.revision is not None and revision != self.revision:
            raise ValueError(f"revision={revision!r} contradicts the {self.revision!r} of {str(self)!r}. Name one.")
        return replace(
            self,
            revision=revision or self.revision,
            token=token,
            cache_dir=cache_dir,
            subfolder=(subfolder or "").strip("/"),
        )

    def fetch(self, name: str, cached_only: bool = False) -> Path:
        """Path of a file in the local cache, downloaded if need be and allowed.

        Args:
            name: Its path in the repository, or in the subfolder.
            cached_only: Leave the hub alone.

        Raises:
            EntryNotFoundError: The repository does not hold it.
            CheckpointNotFoundError: There is no such repository, or no such revision of it.
            HubAccessError: The hub refuses it.
            HubUnavailableError: It is not in the cache and the hub cannot be asked.
        """
        path = f"{self.subfolder}/{name}" if self.subfolder else name
        try:
            return Path(
                huggingface_hub.hf_hub_download(
                    self.repo,
                    path,
                    revision=self.revision,
                    token=self.token,
                    cache_dir=Path(self.cache_dir) if self.cache_dir else None,
                    local_files_only=cached_only,
                )
            )
        except (GatedRepoError, DisabledRepoError) as error:
            raise self._refusal(error) from error
        except RevisionNotFoundError as error:
            raise CheckpointNotFoundError(
                f"The hub ({ENDPOINT}) has {self.repo}, but no revision {self.revision!r} of it."
            ) from error
        except RepositoryNotFoundError as error:
            raise CheckpointNotFoundError(
                f"The hub ({ENDPOINT}) has no repository {self.repo!r}, or it is private and needs 'hf auth login' or "
                f"token=.{_words(error)}"
            ) from error
        except LocalEntryNotFoundError as error:  # Means that the hub could not be asked; its base class that it could.
            if isinstance(error.__cause__, HfHubHTTPError):
                raise self._refusal(error.__cause__) from error
            raise self._unavailable(path) from error
        except EntryNotFoundError:
            raise
        except HfHubHTTPError as error:
            raise self._refusal(error) from error
        except (HFValidationError, LocalTokenNotFoundError) as error:
            raise CheckpointNotFoundError(f"{str(self)!r} cannot be asked of the hub: {error}") from error
        except (OSError, ValueError) as error:
            raise HubUnavailableError(
                f"Fetching {path} of {self.repo} from the hub ({ENDPOINT}) failed: {error}"
            ) from error

    def _refusal(self, error: HfHubHTTPError) -> HubAccessError | HubUnavailableError:
        status = getattr(getattr(error, "response", None), "status_code", 0)
        if not isinstance(error, (GatedRepoError, DisabledRepoError)) and status not in (401, 403, 451):
            return HubUnavailableError(f"The hub ({ENDPOINT}) did not give {self.repo}: {_first_line(error)}")
        gated = (
            f"It is gated: accept its terms at {ENDPOINT}/{self.repo}, then 'hf auth login' or token=."
            if isinstance(error, GatedRepoError)
            else "Check that your token ('hf auth whoami', or token=) may read it."
        )
        return HubAccessError(f"The hub ({ENDPOINT}) refuses access to {self.repo}.{_words(error)} {gated}")

    def _unavailable(self, path: str) -> HubUnavailableError:
        release = find_release(hub_id=self.repo)
        official = f", or {release.official_file} of OpenGVLab/InternVL," if release and release.official_file else ""
        why = "HF_HUB_OFFLINE is set" if HF_HUB_OFFLINE else f"the hub ({ENDPOINT}) cannot be reached"
        return HubUnavailableError(
            f"{path} of {self.repo}{f' at {self.revision}' if self.revision else ''} is not in the local cache and "
            f"{why}. Connect, set HF_ENDPOINT to a mirror or HF_HOME to a filled cache, or download "
            f"{self.repo}{official} elsewhere and give its path."
        )

    def fetch_shard(self, beside: str = "") -> Callable[[str], Path]:
        """A function that fetches the shards of an index in a folder of the repository."""

        def fetch(shard: str) -> Path:
            try:
                return self.fetch(f"{beside}{shard}")
            except EntryNotFoundError as error:
                raise MissingShardError(
                    f"The index of {self.repo} names the shard {shard}, but the hub does not hold it."
                ) from error

        return fetch


def _words(error: HfHubHTTPError) -> str:
    """What the hub says of a refusal."""
    told = " ".join((error.server_message or "").split())
    return f" It says: {told}" if told else ""


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
