"""Operations that are known to be free: moving, viewing, selecting and creating values, without arithmetic on them.

A name is listed only if none of its overloads computes with floating-point values; the groups say why.
"""

from __future__ import annotations

from profiler.rules.registry import free

VIEWS = (
    *("view", "_unsafe_view", "reshape", "reshape_as", "view_as", "_reshape_alias", "_reshape_copy", "ravel"),
    *("flatten", "unflatten", "squeeze", "unsqueeze", "expand", "expand_as", "broadcast_to", "broadcast_tensors"),
    *("permute", "transpose", "t", "numpy_T", "mT", "mH", "matrix_H", "adjoint", "movedim", "moveaxis"),
    *("swapaxes", "swapdims", "select", "slice", "narrow", "diagonal", "linalg_diagonal", "unfold", "as_strided"),
    *("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "chunk", "unsafe_chunk", "unbind"),
    *("tensor_split", "hsplit", "vsplit", "dsplit", "alias", "detach", "data", "_fw_primal", "_make_dual"),
    *("_unpack_dual", "atleast_1d", "atleast_2d", "atleast_3d", "view_as_real", "view_as_complex", "real", "imag"),
    *("conj", "_conj", "_neg_view", "resolve_conj", "resolve_neg", "positive", "slice_inverse", "meshgrid"),
    *("values", "_values", "indices", "_indices", "crow_indices", "col_indices", "ccol_indices", "row_indices"),
)
"""The same values under another shape; conjugation and negation only flip signs."""

COPIES = (
    *("clone", "contiguous", "copy", "_to_copy", "to", "_to_cpu", "type_as", "lift", "lift_fresh", "_lazy_clone"),
    *("cat", "concat", "concatenate", "stack", "_stack", "hstack", "vstack", "dstack", "column_stack"),
    *("row_stack", "block_diag", "repeat", "repeat_interleave", "tile", "roll", "flip", "fliplr", "flipud", "rot90"),
    *("constant_pad_nd", "pad", "_pad_circular", "_pad_enum", "reflection_pad1d", "reflection_pad2d"),
    *("reflection_pad3d", "replication_pad1d", "replication_pad2d", "replication_pad3d", "pad_sequence"),
    *("_pack_padded_sequence", "_pad_packed_sequence", "flatten_dense_tensors", "unflatten_dense_tensors"),
    *("pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle", "im2col", "combinations"),
    *("cartesian_prod", "diag", "diag_embed", "diagflat", "tril", "triu", "pin_memory", "_pin_memory", "chalf"),
    *("fft_fftshift", "fft_ifftshift", "complex", "_copy_from", "_copy_from_and_resize", "_chunk_cat"),
    *("_cast_Byte", "_cast_Char", "_cast_Double", "_cast_Float", "_cast_Half", "_cast_Int", "_cast_Long"),
    *("_cast_Short", "_autocast_to_full_precision", "_autocast_to_reduced_precision"),
    *("to_mkldnn", "copy_sparse_to_sparse", "_coalesced"),
    *("_sparse_broadcast_to", "_make_per_tensor_quantized_tensor", "_make_per_channel_quantized_tensor"),
    *("_nested_from_padded_and_nested_example", "_nested_from_padded_tensor"),
    *("_nested_tensor_from_mask_left_aligned", "_resize_output", "resize_as_sparse", "sparse_resize"),
    *("sparse_resize_and_clear", "_spdiags"),
    *("to_padded_tensor", "nested_to_padded_tensor", "_jagged_to_padded_dense_forward", "_nested_from_padded"),
    *("_padded_dense_to_jagged_forward", "_nested_tensor_from_mask", "_nested_tensor_from_tensor_list"),
    *("mkldnn_reorder_conv2d_weight", "mkldnn_reorder_conv3d_weight", "_mkldnn_reshape", "_mkldnn_transpose"),
    *("max_unpool2d", "max_unpool3d", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d"),
    *("_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d"),
)
"""Values copied, joined, padded, repeated by nearest neighbor, unpooled, or cast to another dtype or layout."""

COPIES_OF_VIEWS = tuple(
    f"{view}_copy"
    for view in (
        *("_conj", "_fw_primal", "_indices", "_make_dual", "_neg_view", "_reshape_alias", "_sparse_broadcast_to"),
        *("_values", "alias", "as_strided", "ccol_indices", "col_indices", "crow_indices", "detach", "diagonal"),
        *("expand", "indices", "lift_fresh", "narrow", "permute", "row_indices", "select", "slice", "split"),
        *("split_with_sizes", "squeeze", "t", "transpose", "unbind", "unfold", "unsqueeze", "values", "view"),
        *("view_as_complex", "view_as_real", "_nested_get_values", "_nested_view_from_buffer"),
        "_nested_view_from_jagged",
    )
)
"""The variants of views that return a copy."""

INDEXING = (
    *("embedding", "index", "_unsafe_index", "_unsafe_masked_index", "index_select", "gather", "take"),
    *("take_along_dim", "masked_select", "where", "masked_fill", "masked_scatter", "index_fill", "index_copy"),
    *("select_scatter", "slice_scatter", "diagonal_scatter", "as_strided_scatter", "fill_diagonal_"),
    *("one_hot", "tril_indices", "triu_indices", "sparse_mask", "_sparse_mask_projection"),
)
"""Look-up, selection and placement by index or mask."""

MAKING = (
    *("empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided", "zeros"),
    *("zeros_like", "new_zeros", "ones", "ones_like", "new_ones", "full", "full_like", "new_full", "eye", "arange"),
    *("range", "linspace", "logspace", "scalar_tensor", "fill", "zero", "_efficientzerotensor", "from_file"),
    *("hann_window", "hamming_window", "bartlett_window", "blackman_window", "kaiser_window", "fft_fftfreq"),
    *("fft_rfftfreq", "_dim_arange", "_shape_as_tensor", "_new_zeros_with_same_feature_meta"),
    *("_empty_affine_quantized", "_empty_per_channel_affine_quantized", "empty_quantized"),
    *("sparse_coo_tensor", "sparse_csr_tensor", "sparse_csc_tensor", "sparse_bsr_tensor", "sparse_bsc_tensor"),
    *("sparse_compressed_tensor", "_sparse_coo_tensor_unsafe", "_sparse_coo_tensor_with_dims"),
    *("_sparse_coo_tensor_with_dims_and_tensors", "_sparse_compressed_tensor_unsafe"),
    *("_sparse_compressed_tensor_with_dims", "_sparse_csr_tensor_unsafe", "_sparse_csc_tensor_unsafe"),
    *("_sparse_bsr_tensor_unsafe", "_sparse_bsc_tensor_unsafe", "set", "resize", "resize_as", "set_data"),
)
"""Storage, constants, and values that depend on sizes and arguments alone."""

RANDOM = (
    *("rand", "rand_like", "randn", "randn_like", "randint", "randint_like", "randperm", "bernoulli", "multinomial"),
    *(
        "uniform",
        "normal_",
        "normal_functional",
        "random",
        "exponential",
        "geometric",
        "cauchy",
        "log_normal",
        "poisson",
        "binomial",
    ),
    *("_standard_gamma", "_sample_dirichlet", "_philox_uniform", "_philox_normal", "_philox_key_split"),
    *("_philox_key_fold_in", "_cudnn_init_dropout_state", "_fill_mem_eff_dropout_mask_"),
)
"""Drawing random numbers: how is the generator's affair, not the network's."""

SIGNS_AND_ROUNDING = (
    *("neg", "negative", "sign", "sgn", "signbit", "copysign", "conj_physical", "_conj_physical", "floor", "ceil"),
    *("trunc", "fix", "isnan", "isinf", "isfinite", "isposinf", "isneginf", "isreal", "nan_to_num", "nextafter"),
    *("frexp",),
)
"""Signs, rounding, and tests and replacements of nan and infinity: no multiply, add, divide or order."""

QUESTIONS = (
    *("item", "_local_scalar_dense", "size", "stride", "storage_offset", "dim", "numel"),
    *("sym_size", "sym_stride", "sym_numel", "sym_storage_offset", "sym_is_contiguous", "is_contiguous"),
    *("is_same_size", "is_set_to", "is_pinned", "is_complex", "is_floating_point", "is_signed", "is_conj", "is_neg"),
    *("is_leaf", "is_inference", "is_distributed", "is_coalesced", "_is_zerotensor", "_version", "_nnz"),
    *("sparse_dim", "dense_dim", "_dimI", "_dimV", "output_nr", "requires_grad_", "retain_grad", "retains_grad"),
    *("result_type", "can_cast", "promote_types", "get_device", "record_stream", "cudnn_is_acceptable"),
    *("_assert_async", "_assert_scalar", "_assert_tensor_metadata", "_functional_assert_async"),
    *("_functional_assert_scalar", "_functional_sym_constrain_range", "sym_constrain_range"),
    *("sym_constrain_range_for_size", "_functional_sym_constrain_range_for_size", "_make_dep_token", "_print"),
    *("_has_same_storage_numel", "_has_compatible_shallow_copy_type", "_debug_has_internal_overlap"),
    *("_nested_tensor_size", "_nested_tensor_strides", "_nested_tensor_storage_offsets", "_nested_get_values"),
    *("_nested_get_offsets", "_nested_get_lengths", "_nested_get_ragged_idx", "_nested_get_min_seqlen"),
    *("_nested_get_max_seqlen", "_nested_get_jagged_dummy", "_nested_view_from_buffer", "_nested_view_from_jagged"),
    *("_use_cudnn_ctc_loss", "_use_miopen_ctc_loss", "_fused_sdp_choice", "_nnpack_available"),
    *("int_repr", "q_scale", "q_zero_point", "q_per_channel_scales", "q_per_channel_zero_points"),
    *("q_per_channel_axis", "qscheme", "_nested_compute_contiguous_strides_offsets"),
)
"""Questions about a tensor, assertions, and what reads one value out."""

INTEGER_WORK = (
    *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "bitwise_left_shift", "bitwise_right_shift"),
    *("__and__", "__or__", "__xor__", "__lshift__", "__rshift__", "__iand__", "__ior__", "__ixor__"),
    *("__ilshift__", "__irshift__", "gcd", "lcm", "_validate_compressed_sparse_indices"),
    *("_convert_indices_from_coo_to_csr", "_convert_indices_from_csr_to_coo", "_is_all_true", "_is_any_true"),
    "hash_tensor",
)
"""Work on integers and booleans only, and on the bits of numbers."""

TESTS_OF_TORCH = (
    *("_foobar", "_test_autograd_multiple_dispatch", "_test_autograd_multiple_dispatch_view"),
    *("_test_autograd_multiple_dispatch_view_copy", "_test_functorch_fallback", "_test_parallel_materialize"),
    "_test_warn_in_autograd",
)
"""Operators with which torch tests its dispatcher and which return their input."""

for _theme in (
    VIEWS,
    COPIES,
    COPIES_OF_VIEWS,
    INDEXING,
    MAKING,
    RANDOM,
    SIGNS_AND_ROUNDING,
    QUESTIONS,
    INTEGER_WORK,
    TESTS_OF_TORCH,
):
    free(*(f"aten::{_op}" for _op in _theme))

# torch's own profiler marks the beginning and end of an optimizer's step, in the network or around it.
free("profiler::_record_function_enter", "profiler::_record_function_enter_new", "profiler::_record_function_exit")
