"""The page that runs the files of a bundle in browsers."""
