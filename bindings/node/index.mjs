import reactor from './index.js';

export const { start, version } = reactor;
export default reactor;
