// Package limit gives one person other limits than those of their tier, for some
// time or until somebody takes them back.
//
// All overrides are in memory, since there are few: a call asks there. A change
// shows at once in this process and in others when the bus has told them, at the
// latest when they look again, every three seconds. What has expired counts for
// nothing from that moment, without anything having to run.
//
// Tables: limit_override.
package limit
