// Applies the theme that was chosen here before, while the page loads, so that it does not flash. It is no module: modules run later.
try {
	const chosen = localStorage.getItem("syncgate-theme");
	if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
	// A browser that keeps nothing shows the theme of the system.
}
