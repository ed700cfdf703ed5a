
def zero_shot(cells, name="type"):
    """Values of the type or an attribute, and their probabilities [n, n_values] for embedded cells."""
    values = next(s for s in prompts["sets"] if s["name"] == name)
    means = np.stack([embed_texts(p).mean(axis=0) for p in values["prompts"]])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    logits = float(about["contrast_scale"]) * cells @ means.T
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return values["values"], odds / odds.sum(axis=1, keepdims=True)
