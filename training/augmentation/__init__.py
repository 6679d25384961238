"""Changes of images that leave what is on them as it is: in training at random, in evaluation by a fixed list."""
