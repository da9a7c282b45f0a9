/* Shows one artifact. The kind follows from the name, or from the first bytes where the name says nothing; each viewer is a
   chunk of its own, fetched when first needed. Everything is capped, says what part it shows, and can be downloaded. */

import type { ComponentType, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { artifactUrl } from '../api/client';
import type { ArtifactOwner } from '../api/types';
import { lazy } from '../components/lazy';
import { baseName, keyOf, part, sizeWord, type ViewerProps } from './frame';
import './viewers.css';

const text = lazy(() => import('./text'));
const media = (name: 'Html' | 'Pdf' | 'Audio' | 'Video') => lazy<ViewerProps>(() => import('./media').then((m) => ({ default: m[name] })));

const VIEWERS: Record<string, ComponentType<ViewerProps>> = {
	text,
	image: lazy(() => import('./image')),
	tiff: lazy(() => import('./tiff')),
	json: lazy(() => import('./json')),
	markdown: lazy(() => import('./markdown')),
	csv: lazy(() => import('./csv')),
	parquet: lazy(() => import('./parquet')),
	html: media('Html'),
	pdf: media('Pdf'),
	audio: media('Audio'),
	video: media('Video'),
	numpy: lazy(() => import('./numpy')),
	notebook: lazy(() => import('./notebook')),
	geo: lazy(() => import('./geo')),
	zip: lazy(() => import('./zip')),
	mlmodel: lazy(() => import('./mlmodel')),
	hex: lazy(() => import('./hex')),
};

const KINDS: Record<string, string> = {};
for (const [kind, ends] of Object.entries({
	image: 'png jpg jpeg gif webp svg bmp ico avif apng jfif',
	tiff: 'tif tiff',
	json: 'json',
	markdown: 'md markdown',
	csv: 'csv tsv',
	parquet: 'parquet pq',
	html: 'html htm xhtml',
	pdf: 'pdf',
	audio: 'mp3 wav ogg oga flac m4a aac opus',
	video: 'mp4 webm ogv mov m4v',
	numpy: 'npy npz',
	notebook: 'ipynb',
	geo: 'geojson',
	zip: 'zip whl jar egg',
	text: 'txt log py pyi r jl js mjs ts tsx jsx java scala kt go rs c h cc cpp hpp cu sh bash zsh sql yaml yml toml ini cfg conf env xml css scss diff patch dockerfile makefile jsonl ndjson tex rst lock properties proto tf gradle rb php pl lua vim rmd err out',
	hex: 'pkl pickle joblib pt pth ckpt h5 hdf5 keras onnx bin pb safetensors npk model so dll exe gz bz2 xz zst tar tgz 7z feather arrow avro orc db sqlite ubj cbm',
}))
	for (const end of ends.split(' ')) KINDS[end] = kind;

const NAMES: Record<string, string> = {
	MLmodel: 'mlmodel',
	MLproject: 'text',
	Dockerfile: 'text',
	Makefile: 'text',
	LICENSE: 'text',
	README: 'text',
	'requirements.txt': 'text',
	'.gitignore': 'text',
};

/** The viewer that a name asks for; empty when only the content can tell. */
export function kindOf(path: string): string {
	const name = baseName(path);
	if (NAMES[name]) return NAMES[name]!;
	const dot = name.lastIndexOf('.');
	return dot > 0 ? (KINDS[name.slice(dot + 1).toLowerCase()] ?? '') : '';
}

/** Text, as far as the first bytes tell: no NUL and hardly any control characters. */
function looksLikeText(bytes: Uint8Array): boolean {
	let odd = 0;
	for (const b of bytes) {
		if (b === 0) return false;
		if (b < 9 || (b > 13 && b < 32 && b !== 27)) odd++;
	}
	return odd * 50 <= bytes.length;
}

async function sniff(run: ArtifactOwner, path: string, abort: AbortSignal): Promise<string> {
	const { bytes } = await part(run, path, 0, 4096, abort);
	const head = String.fromCharCode(...bytes.subarray(0, 8));
	if (head.startsWith('%PDF')) return 'pdf';
	if (head.startsWith('\x89PNG') || head.startsWith('GIF8') || head.startsWith('\xff\xd8\xff')) return 'image';
	if (head.startsWith('PK\x03\x04')) return 'zip';
	if (head.startsWith('PAR1')) return 'parquet';
	if (head.startsWith('\x93NUMPY')) return 'numpy';
	return looksLikeText(bytes) ? 'text' : 'hex';
}

export interface ArtifactProps {
	run: ArtifactOwner;
	path: string;
	size?: number | string;
}

export function Artifact(props: ArtifactProps): JSX.Element {
	const { run, path } = props;
	const named = kindOf(path);
	const [found, setFound] = useState<{ path: string; kind: string } | null>(null);
	const size = props.size === undefined || props.size === '' ? NaN : Number(props.size);
	useEffect(() => {
		if (named || size === 0) return;
		const abort = new AbortController();
		sniff(run, path, abort.signal).then(
			(kind) => setFound({ path, kind }),
			() => !abort.signal.aborted && setFound({ path, kind: 'hex' }),
		);
		return () => abort.abort();
	}, [keyOf(run), path, named, size === 0]);
	const kind = named || (found?.path === path ? found.kind : '');
	const Viewer = VIEWERS[kind];
	return (
		<div class="view" data-viewer={size === 0 ? 'empty' : kind}>
			<div class="view-head">
				<span class="grow wrap">
					<b>{baseName(path)}</b> {Number.isFinite(size) && <span class="muted">{sizeWord(size)}</span>}
				</span>
				<a class="btn small" href={artifactUrl(run, path)} download={baseName(path)} data-server>
					Download
				</a>
			</div>
			{size === 0 ? (
				<p class="muted">The file is empty.</p>
			) : Viewer ? (
				<Viewer key={`${keyOf(run)} ${path}`} run={run} path={path} size={size} />
			) : (
				<p class="muted" role="status">
					Reading the file…
				</p>
			)}
		</div>
	);
}

export default Artifact;
