/* TIFF, which browsers do not draw: decoded page by page. */

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { Bar, baseName, part, sizeWord, Status, useFile, type ViewerProps } from './frame';
import { Pixels } from './image';
import { work } from './tasks';

const MAX = 60_000_000;

export default function Tiff(props: ViewerProps): JSX.Element {
	const [page, setPage] = useState(0);
	const file = useFile(props, async (abort) => {
		const p = await part(props.run, props.path, 0, MAX, abort);
		if (!p.whole) throw new Error(`The image has ${sizeWord(p.total)}; up to ${sizeWord(MAX)} are shown here.`);
		return p.bytes;
	});
	const drawn = useFile(
		props,
		async (abort) => (file.value ? work('tiff', { bytes: file.value, page }, file.value.length, abort) : null),
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
							{drawn.value.pages > 1 && ` · page ${page + 1} of ${drawn.value.pages}`}
						</span>
						{drawn.value.pages > 1 && (
							<>
								<button type="button" class="btn small" disabled={!page} onClick={() => setPage(page - 1)}>
									Page before
								</button>
								<button type="button" class="btn small" disabled={page + 1 >= drawn.value.pages} onClick={() => setPage(page + 1)}>
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
