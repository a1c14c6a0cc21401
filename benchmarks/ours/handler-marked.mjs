// Echo in which a request may ask for time, for worker threads.

import { busy, isMarked } from './marked.mjs';

export default function echo(data) {
  if (isMarked(data)) busy(data);
  return data;
}
