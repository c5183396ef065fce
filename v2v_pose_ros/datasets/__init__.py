"""The datasets of the paper behind one interface: metres and the optical frame come out."""
