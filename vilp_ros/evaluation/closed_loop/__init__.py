"""Success: whole episodes in lock-step, who drives them, the controls, plans that come late."""
