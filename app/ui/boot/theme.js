/* Sets the theme before the first paint. A file of its own because the Content-Security-Policy allows no inline script.
 * The root always carries data-theme; the choice "system" is kept in storage as nothing at all. */
(function () {
	var media = matchMedia('(prefers-color-scheme: dark)');
	function apply() {
		var chosen = null;
		try {
			chosen = localStorage.getItem('tallyd.theme');
		} catch (_) {
			/* storage may be forbidden: follow the system */
		}
		document.documentElement.dataset.theme = chosen || (media.matches ? 'dark' : 'light');
		dispatchEvent(new Event('themechange'));
	}
	apply();
	media.addEventListener('change', apply);
	addEventListener('storage', apply);
	addEventListener('themechosen', apply);
})();
