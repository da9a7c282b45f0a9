/* The few marks there are; each stands beside a word or carries a label. */
const PATHS = {
	brand: 'M3 18 9 10.5l4.5 3.5L21 5',
	check: 'M4.5 12.5 10 18 19.5 7',
	cross: 'M6 6l12 12M18 6 6 18',
	run: 'M20 12a8 8 0 1 1-5-7.4',
	clock: 'M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM12 8v4.5l3 2',
	stop: 'M7 7h10v10H7z',
	copy: 'M9 9h10v11H9zM15 9V5H5v11h4',
	more: 'M5 12h.01M12 12h.01M19 12h.01',
	right: 'M9.5 6l6 6-6 6',
	down: 'M6 9.5l6 6 6-6',
	folder: 'M3.5 6.5h6l2 2.5h9v10h-17z',
	file: 'M6 3.5h8l4.5 4.5v12.5H6zM14 3.5V8h4.5',
	flask: 'M10 3.5h4M11 3.5v6L5.5 19a1.2 1.2 0 0 0 1 1.5h11a1.2 1.2 0 0 0 1-1.5L13 9.5v-6M8 15h8',
	box: 'M12 3.5l8 4.3v8.4l-8 4.3-8-4.3V7.8zM4 7.8l8 4.4 8-4.4M12 12.2v8.3',
	eye: 'M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z',
	pin: 'M12 14.5V21M7.5 14.5h9l-1.5-4V4h-6v6.5z',
	search: 'M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5 20.5 20.5',
	download: 'M12 4v11M7 10.5l5 5 5-5M4.5 20h15',
	moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z',
	sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
	return <svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d={PATHS[name]} /></svg>;
}
