package webhook

// SplitSignatures is splitSignatures.
var SplitSignatures = splitSignatures
