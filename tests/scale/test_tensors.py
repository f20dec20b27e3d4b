"""Trees of arrays as files: the same tree comes back, or a sentence that says what is wrong."""

import pickle
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mlmath.optimize import first_order, stochastic
from mlmath.scale import files, tensors

TREE = {
    "weights": jnp.arange(6.0).reshape(2, 3),
    "step": jnp.asarray(7, jnp.int32),
    "empty": (),
    "key": jax.random.key(3),
    "half": (jnp.ones(2, jnp.bfloat16), jnp.asarray([jnp.nan, -0.0])),
}


@pytest.fixture
def saved(tmp_path):
    files.write(tmp_path / "a", tensors.dump(TREE))
    return tmp_path / "a"


def bits(leaf):
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return leaf.dtype, leaf.shape, np.asarray(leaf).tobytes()


def test_the_same_tree_comes_back_bit_for_bit(saved):
    found = tensors.load(saved, TREE)
    assert jax.tree.structure(found) == jax.tree.structure(TREE)
    assert jax.tree.map(bits, found) == jax.tree.map(bits, TREE)
    assert found["key"].dtype == TREE["key"].dtype


def test_an_array_that_is_transposed_in_memory_comes_back(tmp_path):
    transposed = np.arange(6.0).reshape(2, 3).T
    files.write(tmp_path / "a", tensors.dump(transposed))
    np.testing.assert_array_equal(tensors.load(tmp_path / "a", transposed), transposed)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_a_key_draws_what_it_drew(tmp_path, impl):
    key = jax.random.key(5, impl=impl)
    files.write(tmp_path / "key", tensors.dump(key))
    found = tensors.load(tmp_path / "key", jax.random.key(0, impl=impl))
    assert jax.random.uniform(found) == jax.random.uniform(key)


def test_the_state_of_a_run_comes_back(tmp_path):
    optimizer = first_order.adam(first_order.cosine_decay(0.1, steps=9))
    state = stochastic.init(jax.random.key(0), {"w": jnp.ones(3)}, optimizer)
    files.write(tmp_path / "a", tensors.dump(state))
    found = tensors.load(tmp_path / "a", state)
    assert type(found) is stochastic.State
    assert jax.tree.map(bits, found) == jax.tree.map(bits, state)


@pytest.mark.parametrize("cut", [0, 5, 60, -1])
def test_a_truncated_file_is_damaged(saved, cut):
    saved.write_bytes(saved.read_bytes()[:cut])
    with pytest.raises(tensors.Damaged, match=r"is damaged|is not a safetensors file"):
        tensors.load(saved, TREE)


def test_one_wrong_bit_is_noticed(saved):
    content = bytearray(saved.read_bytes())
    content[-3] ^= 1
    saved.write_bytes(bytes(content))
    with pytest.raises(tensors.Damaged, match="its numbers do not have its checksum"):
        tensors.load(saved, TREE)


def test_a_file_without_a_checksum_is_read(saved):
    save_file(load_file(saved), saved)
    assert jax.tree.map(bits, tensors.load(saved, TREE)) == jax.tree.map(bits, TREE)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (pickle.dumps({"a": 1}), "is not a safetensors file"),
        (struct.pack("<Q", 2**62) + b"{}", "its header claims 4611686018427387904 bytes"),
        (struct.pack("<Q", 2**21) + b"{" + b" " * 2**21, "its header claims 2097152 bytes"),
    ],
    ids=["pickle", "size", "long"],
)
def test_a_hostile_file_is_damaged(saved, content, sentence):
    saved.write_bytes(content)
    with pytest.raises(tensors.Damaged, match=sentence):
        tensors.load(saved, TREE)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"weights": jnp.zeros((3, 2))},
            r"'\]' is float64\[2, 3\], not float64\[3, 2\]",
        ),
        ({"step": jnp.zeros(())}, r"is int32\[\], not float64\[\]"),
        ({"more": jnp.zeros(())}, r"does not fit config: '\['more'\]' is in one of them only"),
    ],
    ids=["shape", "dtype", "name"],
)
def test_another_tree_is_refused(saved, change, sentence):
    with pytest.raises(tensors.Damaged, match=sentence):
        tensors.load(saved, TREE | change, owner="config")


def test_a_file_that_holds_more_is_refused(saved):
    less = {name: leaf for name, leaf in TREE.items() if name != "step"}
    with pytest.raises(tensors.Damaged, match=r"'\['step'\]' is in one of them only"):
        tensors.load(saved, less)


def test_a_file_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(tensors.Damaged, match=r"cannot be read \(No such file"):
        tensors.load(tmp_path / "a", TREE)
