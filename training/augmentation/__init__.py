"""Augmentation: random changes of training images, and a fixed list of views for test-time augmentation."""
