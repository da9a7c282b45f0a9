/* TIFF, which browsers do not draw: decoded here, page by page. */

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import * as UTIF from 'utif2';
import { Bar, baseName, part, sizeWord, Status, useFile, type ViewerProps } from './frame';
import { Pixels } from './image';

const MAX = 60_000_000;
const PIXELS = 50_000_000;

interface Page {
	width: number;
	height: number;
	rgba: Uint8ClampedArray;
}

export default function Tiff(props: ViewerProps): JSX.Element {
	const [page, setPage] = useState(0);
	const file = useFile(props, async (abort) => {
		const p = await part(props.run, props.path, 0, MAX, abort);
		if (!p.whole) throw new Error(`The image has ${sizeWord(p.total)}; up to ${sizeWord(MAX)} are shown here.`);
		const buffer = p.bytes.slice().buffer;
		const pages = UTIF.decode(buffer);
		if (!pages.length) throw new Error('This is not a TIFF image, or it is damaged.');
		return { buffer, pages };
	});
	const drawn = useFile(
		props,
		async (): Promise<Page | null> => {
			if (!file.value) return null;
			const ifd = file.value.pages[page]!;
			UTIF.decodeImage(file.value.buffer, ifd);
			if (!(ifd.width * ifd.height <= PIXELS)) throw new Error(`The page has ${ifd.width} × ${ifd.height} pixels, too many to show here.`);
			return { width: ifd.width, height: ifd.height, rgba: new Uint8ClampedArray(UTIF.toRGBA8(ifd)) };
		},
		`${page} ${Boolean(file.value)}`,
	);
	return (
		<>
			<Status of={file.value ? drawn : file} />
			{file.value && drawn.value && (
				<>
					<Bar>
						<span class="muted small">
							{drawn.value.width} × {drawn.value.height}
							{file.value.pages.length > 1 && ` · page ${page + 1} of ${file.value.pages.length}`}
						</span>
						{file.value.pages.length > 1 && (
							<>
								<button type="button" class="btn small" disabled={!page} onClick={() => setPage(page - 1)}>
									Page before
								</button>
								<button type="button" class="btn small" disabled={page + 1 >= file.value.pages.length} onClick={() => setPage(page + 1)}>
									Next page
								</button>
							</>
						)}
					</Bar>
					<Pixels {...drawn.value} label={baseName(props.path)} />
				</>
			)}
		</>
	);
}
