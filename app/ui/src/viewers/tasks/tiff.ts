/* One page of a TIFF image as pixels. */
import * as UTIF from 'utif2';

const PIXELS = 50_000_000;

export interface TiffPage {
	pages: number;
	width: number;
	height: number;
	rgba: Uint8ClampedArray;
}

export default function tiff({ bytes, page }: { bytes: Uint8Array; page: number }): TiffPage {
	const buffer = bytes.slice().buffer;
	const pages = UTIF.decode(buffer);
	const one = pages[page];
	if (!one)
		throw new Error('This is not a TIFF image, or it is damaged.');
	UTIF.decodeImage(buffer, one);
	if (!(one.width * one.height <= PIXELS))
		throw new Error(`The page has ${one.width} × ${one.height} pixels, too many to show here.`);
	return { pages: pages.length, width: one.width, height: one.height, rgba: new Uint8ClampedArray(UTIF.toRGBA8(one)) };
}
