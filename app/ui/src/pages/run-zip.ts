/*
 * A folder of a logged model as one zip file, put together here.
 * Files are stored as they are (models and pictures are packed already) and go into the Blob piece by piece.
 */
import { Zip, ZipPassThrough } from 'fflate';
import { artifactList } from '../api/artifacts';
import { artifactUrl, file } from '../api/client';
import type { ArtifactOwner } from '../api/types';
import { progress } from '../components/toast';
import { bytes, plural } from '../format';
import { save } from './runs-actions';

const TELL_BYTES = 1_000_000;

async function filesUnder(owner: ArtifactOwner, path: string): Promise<string[]> {
	const out: string[] = [];
	for (const f of await artifactList(owner, path)) {
		if (f.is_dir)
			out.push(...await filesUnder(owner, f.path));
		else
			out.push(f.path);
	}
	return out;
}

export async function downloadZip(owner: ArtifactOwner, path: string, name: string): Promise<void> {
	const line = progress('Listing the files…');
	try {
		const paths = await filesUnder(owner, path);
		const parts: Uint8Array<ArrayBuffer>[] = [];
		let total = 0;
		let told = 0;
		let broken: Error | undefined;
		const zip = new Zip((error, part) => {
			if (error)
				broken = error;
			else
				parts.push(part as Uint8Array<ArrayBuffer>);
		});
		for (const p of paths) {
			const entry = new ZipPassThrough(path ? p.slice(path.length + 1) : p);
			zip.add(entry);
			const reader = (await file(artifactUrl(owner, p))).body!.getReader();
			for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
				entry.push(piece.value);
				total += piece.value.length;
				if (total - told > TELL_BYTES)
					line.update(`Packing ${name}: ${bytes(told = total)}`);
			}
			entry.push(new Uint8Array(0), true);
		}
		zip.end();
		if (broken)
			throw broken;
		save(new Blob(parts, { type: 'application/zip' }), `${name.replace(/[^\w.-]+/g, '-')}.zip`);
		line.done(`${plural(paths.length, 'file')} packed, ${bytes(total)}`);
	} catch (problem) {
		line.done('The zip file was not made');
		throw problem;
	}
}
