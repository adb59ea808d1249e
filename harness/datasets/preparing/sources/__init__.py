"""Reading what people have: files in folders and archives, pickles, numpy archives and images. All of it untrusted."""
