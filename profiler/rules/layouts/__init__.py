"""What is stored otherwise than densely in floats: sparse, quantized and scaled tensors."""
