/* The gate: what the first page loads (the entry, what it imports statically, its style, and the experiments page) stays
 * under 60 kB gzipped. Reads the manifest the build wrote. */
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { resolve } from 'node:path';

const LIMIT = 60 * 1000;
const dist = resolve(import.meta.dirname, '../dist');
const manifest = JSON.parse(readFileSync(resolve(dist, '.vite/manifest.json'), 'utf8'));

function reach(names) {
	const files = new Set(['index.html']);
	const visit = (name) => {
		const chunk = manifest[name];
		if (!chunk || files.has(chunk.file))
			return;
		files.add(chunk.file);
		for (const css of chunk.css ?? [])
			files.add(css);
		for (const next of chunk.imports ?? [])
			visit(next);
	};
	for (const name of names)
		visit(name);
	return [...files];
}

let worst = 0;
for (const [label, names] of [
	['experiments', ['index.html', 'src/pages/experiments.tsx']],
	['runs table', ['index.html', 'src/pages/runs.tsx']],
	['run', ['index.html', 'src/pages/run.tsx']],
]) {
	const files = reach(names);
	const size = files.reduce((sum, f) => sum + gzipSync(readFileSync(resolve(dist, f)), { level: 9 }).length, 0);
	worst = Math.max(worst, size);
	console.log(`${label.padEnd(12)} ${(size / 1000).toFixed(1)} kB gzipped in ${files.length} files`);
}
if (worst > LIMIT) {
	console.error(`over the limit of ${LIMIT / 1000} kB`);
	process.exit(1);
}
