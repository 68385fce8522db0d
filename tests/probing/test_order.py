"""What is seen when."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from internvl_seg.probing.order import draws


@given(seed=st.integers(0, 99), count=st.integers(1, 20), first=st.integers(0, 60), length=st.integers(1, 60))
def test_a_part_is_what_the_whole_holds_there(seed: int, count: int, first: int, length: int) -> None:
    images = [10 * i for i in range(count)]
    whole = draws(seed, images, 0, first + length)
    assert draws(seed, images, first, length) == whole[first:]
    assert [draw.position for draw in whole] == list(range(first + length))


def test_every_epoch_holds_every_image_in_an_order_of_its_own() -> None:
    found = draws(0, range(7), 0, 70)
    epochs = [[draw.image for draw in found if draw.epoch == epoch] for epoch in range(10)]
    assert all(Counter(epoch) == Counter(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 5
    assert [draw.image for draw in draws(1, range(7), 0, 70)] != [draw.image for draw in found]
