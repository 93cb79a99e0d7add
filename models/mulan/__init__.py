"""MuLan (Huang et al. 2022): music and words in one space, and its tokens."""
