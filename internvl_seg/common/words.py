"""Numbers in sentences."""


def counted(number: int, one: str, many: str = "") -> str:
    """A number and what there are so many of: '1 image', '2,000 images'.

    Args:
        number: How many.
        one: The word for one.
        many: The word for others; ``one`` with an s if it is empty.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
