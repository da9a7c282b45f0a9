/* Runs the unit tests of the pure modules: bundles each *.test.mjs with the bundler that Vite brings (Node 18 and 20 read no
 * TypeScript), then hands them to Node's own test runner. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rolldown } from 'rolldown';

const here = import.meta.dirname;
const out = mkdtempSync(join(tmpdir(), 'tallyd-ui-test-'));
const files = readdirSync(here).filter((f) => f.endsWith('.test.mjs'));
try {
	for (const file of files) {
		const bundle = await rolldown({ input: join(here, file), platform: 'node', logLevel: 'warn' });
		await bundle.write({ file: join(out, file), format: 'esm', codeSplitting: false });
		await bundle.close();
	}
	const run = spawnSync(process.execPath, ['--test', ...files.map((f) => join(out, f))], { stdio: 'inherit' });
	process.exitCode = run.status ?? 1;
} finally {
	rmSync(out, { recursive: true });
}
