"""Targets such as ``torchvision:resnet50`` → networks and their inputs, on the meta device."""
