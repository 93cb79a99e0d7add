"""Score drafts: prompts, controls, tokens, language model, notation, engraving and preview."""
