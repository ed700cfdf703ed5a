//! Image and text encoders, tokenizers, and pretrained weights in and out.
