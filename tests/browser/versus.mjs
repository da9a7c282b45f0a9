/* Opens the pages on standard input in turn, each in a fresh profile, and notes when the text of the first row is on the screen. Last line: {name: {ms: [..], bytes}}. */
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const pages = JSON.parse(readFileSync(0, 'utf8'));
const rounds = Number(process.argv[2] ?? 7);
const PATIENCE_MS = 120_000;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
const out = Object.fromEntries(pages.map((p) => [p.name, { ms: [], bytes: 0 }]));

for (let round = 0; round <= rounds; round++)
	for (const { name, url, row } of pages) {
		const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
		const page = await context.newPage();
		const cdp = await context.newCDPSession(page);
		let bytes = 0;
		await cdp.send('Network.enable');
		cdp.on('Network.loadingFinished', (e) => { bytes += e.encodedDataLength; });
		await page.addInitScript((text) => {
			const look = () => {
				const found = document.body && document.evaluate(`//body//*[text()="${text}"]`, document, null, XPathResult.FIRST_ORDERED_NODE_TYPE, null).singleNodeValue;
				if (found && found.getClientRects().length > 0)
					window.__first = performance.now();
				else
					requestAnimationFrame(look);
			};
			requestAnimationFrame(look);
		}, row);
		await page.goto(url, { waitUntil: 'commit' });
		const ms = await page.waitForFunction(() => window.__first, null, { timeout: PATIENCE_MS }).then((h) => h.jsonValue());
		/* the first round warms the servers */
		if (round > 0)
			out[name].ms.push(Math.round(ms));
		out[name].bytes = bytes;
		await context.close();
	}
await browser.close();
console.log(JSON.stringify(out));
