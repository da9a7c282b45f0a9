/* What the browser plays or frames itself: HTML in a sandbox, PDF, audio, video. */

import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Bar, baseName, part, sizeWord, Status, TEXT_MAX, textOf, useFile, viewUrl, type ViewerProps } from './frame';
import { Lines } from './text';

const PDF_MAX = 80_000_000;

/* The page comes from the server's own address with ?view=1, which answers it inline under a Content-Security-Policy of
   "sandbox allow-scripts": an opaque origin, so its scripts reach neither this page nor the API. A blob: or srcdoc frame
   would inherit this page's policy, and reports with inline script and style (plotly's) would stay blank. */
export function Html(props: ViewerProps): JSX.Element {
	const [source, setSource] = useState(false);
	const [tall, setTall] = useState(false);
	return (
		<>
			<Bar>
				<button type="button" class={`btn small quiet ${source ? 'on' : ''}`} aria-pressed={source} onClick={() => setSource(!source)}>
					Source
				</button>
				<button type="button" class={`btn small quiet ${tall ? 'on' : ''}`} aria-pressed={tall} onClick={() => setTall(!tall)}>
					Tall
				</button>
				<span class="muted small">Shown in a sandbox: its scripts run, but reach neither this page nor the server.</span>
			</Bar>
			{source ? (
				<Source {...props} />
			) : (
				<iframe
					class={`view-frame ${tall ? 'tall' : ''}`}
					sandbox="allow-scripts allow-popups"
					title={baseName(props.path)}
					src={viewUrl(props.run, props.path)}
				/>
			)}
		</>
	);
}

function Source(props: ViewerProps): JSX.Element {
	const state = useFile(props, (abort) => part(props.run, props.path, 0, TEXT_MAX, abort));
	return (
		<>
			<Status of={state} />
			{state.value && <Lines text={textOf(state.value)} language="markup" />}
		</>
	);
}

/* In Chromium a frame with any sandbox shows no PDF; a blob of a fixed type cannot turn into a page. */
export function Pdf(props: ViewerProps): JSX.Element {
	const state = useFile(props, async (abort) => {
		const p = await part(props.run, props.path, 0, PDF_MAX, abort);
		if (!p.whole) throw new Error(`The document has ${sizeWord(p.total)}; up to ${sizeWord(PDF_MAX)} are shown here.`);
		return p.bytes.slice();
	});
	const [url, setUrl] = useState('');
	useEffect(() => {
		if (!state.value) return;
		const made = URL.createObjectURL(new Blob([state.value], { type: 'application/pdf' }));
		setUrl(made);
		return () => URL.revokeObjectURL(made);
	}, [state.value]);
	if (!navigator.pdfViewerEnabled) return <p class="notice">This browser shows no PDF documents in a page. Download it to read it.</p>;
	return (
		<>
			<Status of={state} />
			{url && <iframe class="view-frame tall" title={baseName(props.path)} src={url} />}
		</>
	);
}

export function Audio(props: ViewerProps): JSX.Element {
	const [broken, setBroken] = useState(false);
	if (broken) return <Unplayable />;
	return (
		<audio
			class="view-audio"
			controls
			preload="metadata"
			src={viewUrl(props.run, props.path)}
			onError={() => setBroken(true)}
			aria-label={baseName(props.path)}
		/>
	);
}

export function Video(props: ViewerProps): JSX.Element {
	const [broken, setBroken] = useState(false);
	if (broken) return <Unplayable />;
	return (
		<video
			class="view-video"
			controls
			preload="metadata"
			src={viewUrl(props.run, props.path)}
			onError={() => setBroken(true)}
			aria-label={baseName(props.path)}
		/>
	);
}

function Unplayable(): JSX.Element {
	return (
		<p class="notice bad" role="alert">
			The browser cannot play this file. Download it to open it in a player.
		</p>
	);
}
