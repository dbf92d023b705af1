"""Where a face is in a picture, how its mouth stands, and which frames of a recording are of use."""
