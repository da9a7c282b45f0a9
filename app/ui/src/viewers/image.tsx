/* Images that the browser draws itself. A click shows them pixel for pixel. */

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { baseName, Bar, sizeWord, viewUrl, type ViewerProps } from './frame';

const ASK = 30_000_000;

export default function Image(props: ViewerProps): JSX.Element {
	const [full, setFull] = useState(false);
	const [broken, setBroken] = useState(false);
	const [size, setSize] = useState('');
	const [go, setGo] = useState(!(props.size > ASK));
	if (!go)
		return (
			<p class="notice">
				The image has {sizeWord(props.size)}.{' '}
				<button type="button" class="btn small" onClick={() => setGo(true)}>
					Load it
				</button>
			</p>
		);
	if (broken)
		return (
			<p class="notice bad" role="alert">
				The browser cannot show this image: it may be damaged, or not what its name says. Download it to look.
			</p>
		);
	return (
		<>
			<Bar>
				<span class="muted small">{size}</span>
				<button type="button" class={`btn small quiet ${full ? 'on' : ''}`} aria-pressed={full} onClick={() => setFull(!full)}>
					Actual size
				</button>
			</Bar>
			<div class={`view-image ${full ? 'full' : ''}`}>
				<img
					src={viewUrl(props.run, props.path)}
					alt={baseName(props.path)}
					onLoad={(e) => setSize(`${e.currentTarget.naturalWidth} × ${e.currentTarget.naturalHeight}`)}
					onError={() => setBroken(true)}
				/>
			</div>
		</>
	);
}

/** Pixels drawn by us: TIFF pages, NumPy matrices. */
export function Pixels(props: { width: number; height: number; rgba: Uint8ClampedArray; label: string }): JSX.Element {
	return (
		<div class="view-image">
			<canvas
				role="img"
				aria-label={props.label}
				ref={(canvas) => {
					if (!canvas) return;
					canvas.width = props.width;
					canvas.height = props.height;
					canvas
						.getContext('2d')
						?.putImageData(new ImageData(props.rgba as Uint8ClampedArray<ArrayBuffer>, props.width, props.height), 0, 0);
				}}
			/>
		</div>
	);
}
