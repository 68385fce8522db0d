"""Situations in which users of this project and of others like it met a fault, and the tests that notice each.

Who removes or renames such a test names another here: one that exercises the situation and fails if the fault comes
back. Brackets hold a text of the test or of its table of cases, where not the whole of it is about the situation.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# A short name, the situation in a few words, and the tests.
SITUATIONS: dict[str, tuple[str, list[str]]] = {
    # The package.
    "import_with_pycocotools": (
        "pycocotools is installed, and MMPretrain imports models that this transformers breaks",
        ["tests/classification/test_multimodal.py::test_it_imports_beside_pycocotools"],
    ),
    # Files of weights.
    "aliased_transposed_weights": (
        "two weights share memory, one the transpose of the other",
        [
            "tests/checkpoints/test_torch_files.py::test_tensors_that_share_memory_are_those_of_pytorch[turned]",
            "tests/checkpoints/test_torch_files.py::test_state_dicts_of_shared_memory_are_loaded_in_place[turned]",
        ],
    ),
    "empty_zero3_tensors": (
        "DeepSpeed ZeRO-3 saved tensors of size 0",
        ["tests/checkpoints/test_plain_weights.py::test_empty_tensors_of_zero_3"],
    ),
    "fp8_weights": (
        "a vision tower is quantised to fp8",
        ["tests/checkpoints/test_plain_weights.py::test_fp8_with_scales"],
    ),
    "git_lfs_pointer": (
        "a repository was cloned without Git LFS",
        ["tests/checkpoints/test_file_kinds.py::test_files_that_are_no_checkpoint[a Git LFS pointer]"],
    ),
    "official_trainers_checkpoint": (
        "the official classification trainer saves its yacs config beside the weights",
        ["tests/checkpoints/test_torch_files.py::test_settings_of_trainers_are_passed_over[yacs.config.CfgNode]"],
    ),
    "teacher_checkpoint": (
        "DINOv2's trainer saves an encoder under 'teacher'",
        ["tests/checkpoints/test_torch_files.py::test_weights_under_the_keys_of_trainers[teacher]"],
    ),
    "unmerged_lora": (
        "a chat model was tuned with adapters and not merged",
        ["tests/checkpoints/test_plain_weights.py::test_adapters_that_are_not_merged"],
    ),
    "whole_files_called_damaged": (
        "TorchScript and .npz files are whole, but no checkpoints",
        [
            "tests/checkpoints/test_file_kinds.py::test_files_that_are_no_checkpoint[a TorchScript archive]",
            "tests/checkpoints/test_file_kinds.py::test_files_that_are_no_checkpoint[an .npz archive]",
        ],
    ),
    # Folders of weights.
    "deepspeed_folder": (
        "a checkpoint is a folder of DeepSpeed",
        ["tests/checkpoints/test_folder_kinds.py::test_a_folder_of_deepspeed_is_read"],
    ),
    "distributed_checkpoint_folder": (
        "a checkpoint is a folder of torch.distributed.checkpoint",
        ["tests/checkpoints/test_folder_kinds.py::test_a_distributed_checkpoint"],
    ),
    "stale_index_refused": (
        "a model was saved anew over shards, which are gone; their index is not",
        ["tests/checkpoints/test_folder_kinds.py::test_one_file_goes_before_an_index_of_older_shards"],
    ),
    "stale_index_with_old_shards": (
        "a new model.safetensors lies beside an older run's index and shards",
        ["tests/checkpoints/test_folder_kinds.py::test_one_file_goes_before_an_index_of_older_shards"],
    ),
    # What stands beside weights.
    "config_json_epsilon_ignored": (
        "config.json names another layer_norm_eps than 1e-6",
        ["tests/checkpoints/test_config_json.py::test_the_epsilon_is_read_and_written"],
    ),
    "config_json_null": (
        "config.json has null for the vision part, or for the number of heads",
        [
            "tests/checkpoints/test_config_json.py::test_a_config_of_something_else",
            "tests/checkpoints/test_config_json.py::test_values_of_other_types[num_attention_heads]",
        ],
    ),
    "heads_guessed": (
        "a run's encoder has heads of another width than official ones",
        [
            "tests/checkpoints/test_meta_config.py::test_an_encoder_is_that_of_its_run",
            "tests/checkpoints/test_meta_config.py::test_what_it_is_converted_to_says_so[hf_native]",
        ],
    ),
    "oblong_grid_read_as_square": (
        "a run on oblong images has as many positions as a square",
        ["tests/checkpoints/test_meta_config.py::test_an_encoder_is_that_of_its_run"],
    ),
    "oblong_grid_converted": (
        "a run on oblong images is converted",
        ["tests/checkpoints/test_meta_config.py::test_what_it_is_converted_to_says_so[hf_native]"],
    ),
    "remote_code_without_code": (
        "a folder is written for AutoModel with trust_remote_code",
        ["tests/checkpoints/test_exporting.py::test_remote_code_is_named_where_it_is_not_written"],
    ),
    # load_encoder's arguments, and the hub.
    "dtype_as_text": (
        "dtype is given as a text, or as torch_dtype",
        ["tests/checkpoints/test_folder_kinds.py::test_what_from_pretrained_takes[bfloat16]"],
    ),
    "file_in_a_hub_repository": (
        "weights are one file of a hub repository, or a revision of it",
        [
            "tests/checkpoints/test_hub.py::test_revisions_files_and_subfolders",
            "tests/checkpoints/test_hub.py::test_a_file_that_may_be_on_the_hub",
        ],
    ),
    "hub_says_gated": (
        "a repository asks that its terms be accepted",
        ["tests/checkpoints/test_hub.py::test_what_may_not_be_had[the hub says that a repository is gated]"],
    ),
    "load_encoder_revision": (
        "revision, token and cache_dir are given, as to every from_pretrained",
        [
            "tests/checkpoints/test_folder_kinds.py::test_what_from_pretrained_takes",
            "tests/checkpoints/test_hub.py::test_revisions_files_and_subfolders",
        ],
    ),
    # Encoders.
    "streamed_encoder_in_threads": (
        "threads share an encoder of few blocks in memory",
        ["tests/encoder/test_threads.py::test_features_are_those_of_one_thread[blocks_in_memory]"],
    ),
    "random_timm_ignores_seed": (
        "a study with a random model of timm is run again",
        [
            "tests/probing/test_encoders.py::test_random_encoders_are_the_same_in_every_study_and_order",
            "tests/segmentation/test_timm_vit.py::test_random_weights_are_those_of_their_seed",
        ],
    ),
    "timm_drops_biases": (
        "DINOv3 weights with biases go into timm's model without them",
        ["tests/segmentation/test_timm_weights.py::test_what_timm_would_leave_out_in_silence"],
    ),
    "timm_file_not_there": (
        "a TimmViT names a file that is not there, or a folder",
        ["tests/segmentation/test_timm_weights.py::test_a_file_that_is_not_there"],
    ),
    "timm_hybrid": (
        "a TimmViT names a hybrid of ResNet and ViT",
        ["tests/segmentation/test_timm_vit.py::test_a_hybrid_is_no_plain_vit[vit_small_r26_s32_224]"],
    ),
    # Configs of trainings. That train() looks at them at all is a test of its own.
    "batch_of_one": (
        "UPerHead with BatchNorm is trained on batches of one image",
        [
            "tests/training/checks/test_check.py::test_it_is_refused_and_the_advice_works"
            "[a batch of one image with BatchNorm of one value]",
            "tests/training/test_commands.py::test_contradictions_are_refused_before_anything_is_read",
        ],
    ),
    "class_weight_of_other_length": (
        "class_weight has another number of weights than there are classes",
        [
            "tests/training/checks/test_check.py::test_it_is_refused_and_the_advice_works"
            "[class weights are more than the classes]",
            "tests/training/test_commands.py::test_contradictions_are_refused_before_anything_is_read",
        ],
    ),
    "early_stopping_on_nothing": (
        "EarlyStoppingHook watches a value that validation does not give",
        [
            "tests/training/checks/test_check.py::test_it_is_refused_and_the_advice_works"
            "[early stopping watches no metric]",
            "tests/training/test_commands.py::test_contradictions_are_refused_before_anything_is_read",
        ],
    ),
    "out_channels_one": (
        "out_channels=1 for two classes with a softmax",
        [
            "tests/training/checks/test_check.py::test_it_is_refused_and_the_advice_works[one output with a softmax]",
            "tests/training/test_commands.py::test_contradictions_are_refused_before_anything_is_read",
        ],
    ),
    "run_ends_in_warmup": (
        "only max_iters is lowered, and the run ends inside the schedule's warm-up",
        [
            "tests/training/checks/test_check.py::test_what_may_be_meant_is_a_warning[inside the warm-up]",
            "tests/training/checks/test_schedule.py::test_a_schedule_that_does_not_fit_is_told",
        ],
    ),
    "save_best_of_no_metric": (
        "save_best names a metric that the evaluator does not compute",
        [
            "tests/training/checks/test_check.py::test_it_is_refused_and_the_advice_works"
            "[the best checkpoint is of no metric]",
            "tests/training/test_commands.py::test_contradictions_are_refused_before_anything_is_read",
        ],
    ),
    "probe_few_shot_none": (
        "None takes away an inherited setting of a study",
        ["tests/probing/test_settings.py::test_none_takes_away_what_is_inherited"],
    ),
    # Losses.
    "dice_loss_counts_ignored": (
        "DiceLoss meets ignored pixels",
        ["tests/segmentation/test_losses.py::test_ignored_pixels_teach_nothing[DiceLoss]"],
    ),
    "focal_loss_on_ignored": (
        "FocalLoss meets ignored pixels",
        ["tests/segmentation/test_losses.py::test_ignored_pixels_teach_nothing[FocalLoss]"],
    ),
    "sigmoid_with_class_weight": (
        "CrossEntropyLoss has both use_sigmoid and class_weight",
        ["tests/segmentation/test_losses.py::test_weighted_sigmoids_are_pytorchs"],
    ),
    # Training and resuming.
    "nan_in_training": (
        "the loss becomes NaN in mid-training",
        [
            "tests/training/test_non_finite_hook.py::test_a_training_that_diverges_ends",
            "tests/training/test_non_finite_hook.py::test_weights_that_are_not_finite_are_not_saved",
        ],
    ),
    "early_stopping_forgets": (
        "a run with EarlyStoppingHook is killed and resumed",
        ["tests/training/test_resume.py::test_hooks_go_on_with_what_they_remember[EarlyStoppingHook]"],
    ),
    "resume_key_ignored": (
        "resume=True stands in the config",
        ["tests/training/test_resume.py::test_the_work_folders_last_checkpoint_is_taken_and_no_other[resume]"],
    ),
    "resume_other_classes": (
        "a run is resumed after a class was added",
        [
            "tests/training/test_resume.py::test_a_checkpoint_of_another_run_is_refused[classes of the training set]",
            "tests/training/test_same_run.py::test_what_changes_the_training_is_named[num_classes=5]",
        ],
    ),
    "resume_runs_code": (
        "a checkpoint from elsewhere holds Python text where the config is",
        [
            "tests/training/test_resume.py::test_nothing_in_a_checkpoint_is_run",
            "tests/security/test_hostile_checkpoints.py::test_no_config_in_a_checkpoint_is_run"
            "[tools/train.py --resume]",
        ],
    ),
    "resume_takes_load_from": (
        "a run whose config has load_from is resumed",
        ["tests/training/test_resume.py::test_the_work_folders_last_checkpoint_is_taken_and_no_other[load_from]"],
    ),
    "resume_takes_older_run": (
        "a second, shorter run in a work folder is resumed",
        [
            "tests/training/test_resume.py::test_a_new_run_puts_an_earlier_ones_checkpoints_aside",
            "tests/training/test_resume.py::test_the_work_folders_last_checkpoint_is_taken_and_no_other",
        ],
    ),
    # Scores.
    "evaluators_and_out": (
        "labels are to be written where there are two evaluators",
        ["tests/training/test_commands.py::test_of_several_evaluators_all_count_and_one_writes"],
    ),
    "mfscore_without_missed_classes": (
        "a class is missed altogether, and mFscore is asked for",
        ["tests/training/test_metric.py::test_a_missed_class_counts_as_nothing_and_an_absent_one_not_at_all[mFscore]"],
    ),
    "results_without_dice_of_classes": (
        "mDice and mFscore are asked for, and wanted of each class",
        [
            "tests/training/test_metric.py::test_a_missed_class_counts_as_nothing_and_an_absent_one_not_at_all[Recall]",
            "tests/training/test_commands.py::test_of_several_evaluators_all_count_and_one_writes[Dice]",
        ],
    ),
    "scoring_classes_renamed": (
        "the test set has the classes in another order than the training",
        ["tests/training/test_commands.py::test_classes_in_another_order_are_not_scored"],
    ),
    "scoring_label_out_of_range": (
        "masks of the test set hold a label that is no class",
        ["tests/training/test_metric.py::test_labels_that_are_no_class_are_told"],
    ),
    "scoring_masks_of_other_size": (
        "masks of the test set have another size than their images",
        [
            "tests/tools/test_train_and_test.py::test_a_mask_that_does_not_fit_is_told_before_the_test",
            "tests/training/test_metric.py::test_a_mask_of_another_size_is_named",
        ],
    ),
    "scoring_masks_of_three_channels": (
        "masks of the test set have three channels",
        [
            "tests/tools/test_train_and_test.py::test_a_mask_that_does_not_fit_is_told_before_the_test",
            "tests/training/test_metric.py::test_a_mask_in_colours_is_named",
        ],
    ),
    "scoring_results_hold_nan": (
        "every pixel of the test set is ignored",
        ["tests/training/test_commands.py::test_masks_without_a_label_that_counts"],
    ),
    "show_dir_with_another_ignored_label": (
        "pictures are drawn where the ignored label is not 255",
        ["tests/visualization/test_overlay_hook.py::test_what_is_ignored_or_no_class_is_not_painted"],
    ),
    # Data: what labelling tools, cameras and satellites leave.
    "ann_file_ignored": (
        "a list chooses the images of a split",
        [
            "tests/data/test_folder.py::test_a_list_chooses_and_orders_the_images",
            "tests/data/test_folder.py::test_fields_that_do_not_fit_are_refused[gone.txt]",
        ],
    ),
    "binary_masks_255": (
        "masks hold 0 and 255, where 255 is ignored",
        [
            "tests/data/preflight/test_labels.py::test_masks_of_0_and_255_have_no_second_class[train]",
            "tests/data/preflight/test_folders.py::test_masks_of_0_and_255_are_named_with_and_without_names[classes.txt]",
        ],
    ),
    "binary_masks_255_test": (
        "masks of the test set hold 0 and 255",
        ["tests/tools/test_train_and_test.py::test_masks_of_0_and_255_are_told_before_the_test"],
    ),
    "binary_masks_255_unnamed": (
        "masks hold 0 and 255, and nothing names the classes",
        ["tests/data/preflight/test_folders.py::test_masks_of_0_and_255_are_named_with_and_without_names"],
    ),
    "blank_tiles_overlap": (
        "a tile without data is in training, and one in the test set",
        ["tests/data/preflight/test_images.py::test_blank_tiles_may_be_in_two_splits"],
    ),
    "classes_bom": (
        "classes.txt begins with a byte order mark",
        [
            "tests/data/test_folder.py::test_classes_txt_of_windows[utf-8-sig]",
            "tests/data/test_class_files.py::test_every_encoding_gives_the_names[utf-8-sig]",
        ],
    ),
    "classes_latin1": (
        "classes.txt is in Latin-1",
        [
            "tests/data/test_folder.py::test_classes_txt_of_windows[latin-1]",
            "tests/data/test_class_files.py::test_an_old_encoding_is_told",
        ],
    ),
    "coco_json": (
        "polygons in a .json are where masks should be",
        [
            "tests/data/preflight/test_folders.py::test_polygons_in_the_place_of_masks_name_the_converter",
            "tests/data/test_folder_pairs.py::test_what_does_not_fit_is_told[m/coco.json]",
        ],
    ),
    "five_bands": (
        "images have five bands",
        [
            "tests/data/preflight/test_images.py::test_what_the_pipeline_cannot_decode_or_cuts[five bands]",
            "tests/data/test_images.py::test_bands_that_would_be_left_out_are_refused",
        ],
    ),
    "float_pictures": (
        "images are floating-point numbers from 0 to 1",
        [
            "tests/data/preflight/test_images.py::test_what_the_pipeline_cannot_decode_or_cuts[float]",
            "tests/data/test_images.py::test_what_would_be_cast_is_refused[float32]",
        ],
    ),
    "grey_masks_of_three_channels": (
        "masks of ids have three equal channels",
        [
            "tests/data/test_mask_files.py::test_equal_channels_are_ids",
            "tests/data/preflight/test_check.py::test_masks_of_another_name_are_hinted_at_and_equal_channels_are_ids",
        ],
    ),
    "macos_files_in_training": (
        "macOS left its ._NAME files among images and masks",
        ["tests/data/test_folder_pairs.py::test_names_are_paired_at_any_depth_without_junk[images/._b.JPG]"],
    ),
    "mask_of_180_megapixels": (
        "a mask has more pixels than Pillow opens",
        [
            "tests/data/test_mask_files.py::test_masks_over_pillows_limit_are_read[.png]",
            "tests/data/preflight/test_images.py::test_a_mask_that_is_too_large_is_not_called_broken",
        ],
    ),
    "masks_as_tif": (
        "masks are TIFFs",
        ["tests/data/test_folder.py::test_masks_of_other_formats_are_found[.tif]"],
    ),
    "masks_in_colours": (
        "masks are in colours",
        ["tests/data/test_mask_files.py::test_colours_are_told_with_their_place_and_the_way_out"],
    ),
    "masks_in_subfolders": (
        "images and masks are in folders of sites",
        ["tests/data/test_folder_pairs.py::test_names_are_paired_at_any_depth_without_junk[images/site/x.tif]"],
    ),
    "metainfo_is_a_type_error": (
        "metainfo names the classes",
        ["tests/data/test_folder.py::test_metainfo_names_the_classes_where_nothing_else_does"],
    ),
    "more_than_256_classes": (
        "there are more classes than 8 bits can name",
        ["tests/data/preflight/test_labels.py::test_more_classes_than_8_bits_have"],
    ),
    "rgb_of_16_bits": (
        "images are RGB of 16 bits",
        ["tests/data/preflight/test_images.py::test_what_the_pipeline_cannot_decode_or_cuts[RGB of 16 bits]"],
    ),
    "seg_map_suffix_ignored": (
        "masks are called NAME_mask.png",
        [
            "tests/data/test_folder.py::test_suffixes_that_a_config_gives[_mask.png]",
            "tests/data/test_folder_pairs.py::test_suffixes[a_mask.png]",
        ],
    ),
    "training_on_four_bands": (
        "a fourth band is given to the encoder by arch=dict(in_chans=4)",
        [
            "tests/training/checks/test_bands.py::test_what_goes_together_is_not[model.backbone.arch.in_chans]",
            "tests/test_bands.py::test_four_bands_beat_their_rgb_twin",
        ],
    ),
    "unseen_class_in_one_of_two": (
        "each part of a ConcatDataset has some of the classes",
        ["tests/data/preflight/test_labels.py::test_the_parts_of_a_split_are_judged_together"],
    ),
    # Inference.
    "disk_full_while_drawing": (
        "the disk is full while an overlay is drawn",
        ["tests/inference/test_odd_files.py::test_a_full_disk_ends_the_run_and_leaves_nothing_half"],
    ),
    "infer_control_character": (
        "a file name holds a line break",
        ["tests/inference/test_odd_files.py::test_odd_names_are_done_and_known_again[two\nlines.png]"],
    ),
    "infer_line_of_pixels": (
        "a picture is a line of 100,000 pixels",
        [
            "tests/inference/test_odd_files.py::test_what_a_pipeline_raises_is_the_pictures_error",
            "tests/inference/test_odd_files.py::test_pictures_of_any_shape_are_done",
        ],
    ),
    "infer_name_that_is_no_text": (
        "a file name is no UTF-8",
        ["tests/inference/test_odd_files.py::test_odd_names_are_done_and_known_again[bad%FF.png]"],
    ),
    "macos_files_in_infer": (
        "macOS left its ._NAME files in a folder of pictures",
        ["tests/inference/test_inputs.py::test_junk_is_only_taken_when_it_is_named[._b.jpg]"],
    ),
    "two_infers_in_one_folder": (
        "two runs write their results into one folder",
        [
            "tests/tools/test_infer.py::test_two_runs_do_not_share_a_folder",
            "tests/data/test_folder_lock.py::test_one_that_is_suspended_is_still_there_and_one_that_was_killed_is_not",
        ],
    ),
    "onnx_opset_17": (
        "a graph is asked for in older operators than PyTorch writes",
        [
            "tests/deployment/test_exporting.py::test_what_cannot_be_exported"
            "[a graph is asked for in operators that are too old]",
            "tests/tools/test_export.py::test_an_encoder[old.onnx]",
        ],
    ),
    # Shared disks.
    "store_shared_by_containers": (
        "containers, in which processes have other numbers, share a folder",
        [
            "tests/data/test_writing.py::test_in_another_container_processes_have_other_numbers",
            "tests/data/test_writing.py::test_what_is_being_written_is_no_leftover",
        ],
    ),
}


def texts(node: ast.AST) -> set[str]:
    constants = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant))
    return {value for value in constants if isinstance(value, str)}


@cache
def look_into(path: Path) -> dict[str, set[str]]:
    """The tests of a file, those of a class as ``Class::test``, with all texts in them and outside of tests."""
    found: dict[str, set[str]] = {}
    outside: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        in_class = isinstance(node, ast.ClassDef)
        for part in node.body if in_class else [node]:
            if isinstance(part, ast.FunctionDef) and part.name.startswith("test_"):
                found[f"{node.name}::{part.name}" if in_class else part.name] = texts(part)
            else:
                outside |= texts(part)
    return {name: own | outside for name, own in found.items()}


@pytest.mark.parametrize("name", SITUATIONS)
def test_there_is_a_test_of_it(name: str) -> None:
    words, tests = SITUATIONS[name]
    assert tests, words
    for test in tests:
        path, _, rest = test.partition("::")
        function, _, case = rest.removesuffix("]").partition("[")
        assert (ROOT / path).is_file(), f"{path} is gone, which notices that {words}. Name another test."
        found = look_into(ROOT / path)
        assert function in found, f"{test} is gone, which notices that {words}. Name another test."
        assert not case or case in found[function], f"{test} has no {case!r} any more: that {words}."
