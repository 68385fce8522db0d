"""Text in tables that a spreadsheet will open."""

# A spreadsheet takes a cell that begins with one of these for a formula, which may read other files or start programs;
# the last four are the full-width forms, which some versions take for the same.
_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def escape_cell(text: str) -> str:
    """A name as a cell of a CSV file that no spreadsheet takes for a formula.

    Names of classes and files come from others. In front of one that begins a formula stands an apostrophe, as OWASP
    recommends; every other name stays as it is. Numbers are to be written as they are, negative ones, too.

    Args:
        text: What is to be read in the cell. Quotes and separators are left to the writer of the file.
    """
    return f"'{text}" if text.startswith(_BEGINS_A_FORMULA) else text
