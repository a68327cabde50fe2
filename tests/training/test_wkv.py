"""The training forms of the WKV recurrence agree with its definition, forward and backward."""

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'rwkv-assistant[train]'")

from assistant.training.wkv import KernelWkv, chunked_wkv, load_kernel, sequential_wkv  # noqa: E402

NAMES = ["y", "r", "d", "k", "v", "a", "b"]
WORST_RELATIVE_ERROR = 5e-5  # float32 against float64, over the largest magnitude of the tensor


def seeded_inputs(batch=2, steps=64, heads=2):
    """The six inputs in the ranges a model produces, float64 [B, T, H, 64]."""
    generator = torch.Generator().manual_seed(1)

    def normal():
        return torch.randn(batch, steps, heads, 64, generator=generator, dtype=torch.float64)

    receptance, key, value = normal(), normal(), normal()
    removal_key = torch.nn.functional.normalize(normal(), dim=-1)
    decay = torch.exp(-0.606531 * torch.sigmoid(normal()))
    return receptance, decay, key, value, -removal_key, removal_key * torch.sigmoid(normal())


def output_and_gradients(form, dtype):
    inputs = [tensor.to(dtype).requires_grad_() for tensor in seeded_inputs()]
    output = form(*inputs)
    output.sin().sum().backward()
    return [output.detach().double(), *(tensor.grad.double() for tensor in inputs)]


def check(form):
    expected = output_and_gradients(sequential_wkv, torch.float64)
    found = output_and_gradients(form, torch.float32)
    for name, right, got in zip(NAMES, expected, found, strict=True):
        error = float((right - got).abs().max() / right.abs().max())
        assert error < WORST_RELATIVE_ERROR, f"{name}: relative error {error:.1e}"


def test_chunked_form_matches_the_definition():
    check(chunked_wkv)


def test_kernel_matches_the_definition():
    if load_kernel() is None:
        pytest.skip("no C compiler: the kernel is not built, training would use the chunked form")
    check(KernelWkv.apply)


def test_kernel_refuses_shapes_it_cannot_run():
    if load_kernel() is None:
        pytest.skip("no C compiler")
    odd = [tensor.float() for tensor in seeded_inputs(steps=15)]
    with pytest.raises(ValueError, match="T % 16"):
        KernelWkv.apply(*odd)


def test_loading_the_kernel_leaves_subnormal_numbers_alone():
    """A library linked with -ffast-math turns them to zero in the whole process, NumPy's included."""
    assert load_kernel() is not None
    tiny = float("1e-310")  # not a literal, which the compiler would halve by itself
    assert tiny / 2 > 0
