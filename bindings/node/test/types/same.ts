// The types of this package against those agreed. Checked by `cargo xtask lint` where the agreed API is at hand:
// 'reactor' is then that one, and 'reactor-here' this package.

import type * as agreed from 'reactor';
import type * as here from 'reactor-here';

/** An error of the compiler unless each of the two can stand in for the other. */
type Same<A extends B, B extends C, C = A> = [A, B, C];

export type Types = [
  Same<agreed.Mode, here.Mode>,
  Same<agreed.Order, here.Order>,
  Same<agreed.CloseReason, here.CloseReason>,
  Same<agreed.Connection, here.Connection>,
  Same<agreed.Reply, here.Reply>,
  Same<agreed.Process, here.Process>,
  Same<agreed.HandlerModule, here.HandlerModule>,
  Same<agreed.Framing, here.Framing>,
  Same<agreed.Options, here.Options>,
  Same<Required<agreed.Options>, Required<here.Options>>,
  Same<agreed.DrainReport, here.DrainReport>,
  Same<agreed.Stats, here.Stats>,
  Same<agreed.Server, here.Server>,
  Same<agreed.Address, here.Address>,
  Same<typeof agreed.start, typeof here.start>,
  Same<typeof agreed.version, typeof here.version>,
  Same<keyof typeof agreed, keyof typeof here>,
];

/** What methods take: in a comparison of methods themselves, parameters may differ in either direction. */
export type Taken = [
  Same<Parameters<agreed.Connection['send']>, Parameters<here.Connection['send']>>,
  Same<Parameters<agreed.Server['send']>, Parameters<here.Server['send']>>,
  Same<Parameters<agreed.Server['broadcast']>, Parameters<here.Server['broadcast']>>,
  Same<Parameters<agreed.Server['closeConnection']>, Parameters<here.Server['closeConnection']>>,
  Same<Parameters<agreed.Server['stats']>, Parameters<here.Server['stats']>>,
  Same<Parameters<agreed.Server['stop']>, Parameters<here.Server['stop']>>,
];
