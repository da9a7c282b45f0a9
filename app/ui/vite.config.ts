/*
 * The build. The page works below any path: assets are named relative to the page, and because the depth of a page's
 * path is all that differs, one index per depth is written (index.html for "/" and "/a", index-1.html for "/a/b",
 * index-2.html for "/a/b/c" ...). The server picks by counting slashes; nothing is written into the page at run time.
 * boot/ holds what the page names itself (theme script, icon): hashed here, because a classic script is not bundled.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parse, resolve } from 'node:path';
import { defineConfig } from 'vite';

const DEPTHS = 4;
const here = import.meta.dirname;

export default defineConfig({
	base: './',
	publicDir: false,
	oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
	build: {
		target: 'es2022',
		assetsInlineLimit: 0,
		modulePreload: { polyfill: false },
		sourcemap: false,
		reportCompressedSize: false,
		chunkSizeWarningLimit: 1000,
		manifest: true,
	},
	worker: { format: 'es' },
	plugins: [
		{
			name: 'index-per-depth',
			apply: 'build',
			closeBundle() {
				const dist = resolve(here, 'dist');
				let page = readFileSync(resolve(dist, 'index.html'), 'utf8').replaceAll(' crossorigin', '');
				mkdirSync(resolve(dist, 'assets'), { recursive: true });
				for (const file of readdirSync(resolve(here, 'boot'))) {
					const bytes = readFileSync(resolve(here, 'boot', file));
					const { name, ext } = parse(file);
					const hashed = `assets/${name}-${createHash('sha256').update(bytes).digest('base64url').slice(0, 8)}${ext}`;
					writeFileSync(resolve(dist, hashed), bytes);
					page = page.replaceAll(`assets/${file}`, hashed);
				}
				writeFileSync(resolve(dist, 'index.html'), page);
				for (let depth = 1; depth <= DEPTHS; depth++)
					writeFileSync(resolve(dist, `index-${depth}.html`), page.replaceAll('"./', `"${'../'.repeat(depth)}`));
			},
		},
	],
});
