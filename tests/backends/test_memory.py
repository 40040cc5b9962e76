"""Where buffers lie, and copies between addresses."""

import mmap

import pytest

from outlast.backends.memory import address_of, at_address, copy


@pytest.mark.parametrize("kind", [bytes, bytearray, lambda b: memoryview(b).toreadonly(), memoryview])
def test_a_view_of_an_address_is_the_buffer(kind):
    buffer = kind(b"some bytes")
    view = at_address(address_of(buffer), 10)
    assert bytes(view) == b"some bytes"


def test_a_part_of_a_buffer_lies_in_it():
    room = mmap.mmap(-1, 8192)
    whole = memoryview(room)
    assert address_of(whole) % 4096 == 0
    assert address_of(whole[100:]) == address_of(whole) + 100
    whole.release()
    room.close()  # nothing holds on to it


def test_a_copy():
    source, to = bytearray(b"abcdef"), bytearray(6)
    copy(address_of(to) + 1, address_of(source) + 2, 3)
    assert to == b"\0cde\0\0"


def test_what_is_no_buffer_has_no_address():
    with pytest.raises(TypeError):
        address_of(3)
