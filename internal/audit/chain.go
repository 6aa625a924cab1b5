package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// row is what the table holds.
type row struct {
	seq, at                                   int64
	actor, roles, action, resource, id        string
	outcome, reason, requestID, ipTag, origin string
	changed, person, personal                 string
	hash                                      string
}

// record returns what is hashed of r.
func (r *row) record() ([]byte, error) {
	return canonical(map[string]any{
		"seq": r.seq, "at": r.at, "actor": r.actor, "roles": r.roles, "action": r.action, "resource_type": r.resource,
		"resource_id": r.id, "outcome": r.outcome, "reason": r.reason, "request_id": r.requestID, "ip_tag": r.ipTag,
		"origin": r.origin, "changed": json.RawMessage(r.changed), "person": r.person, "personal": r.personal,
	})
}

// link returns the hash of a record that follows a row with the hash prev.
func (l *Log) link(prev string, record []byte) string {
	m := hmac.New(sha256.New, l.key)
	m.Write([]byte(prev))
	m.Write(record)
	return hex.EncodeToString(m.Sum(nil))
}

// tag lets rows of an address be found; only who has the key can make it.
func (l *Log) tag(ip string) string {
	if ip == "" {
		return ""
	}
	m := hmac.New(sha256.New, l.tags)
	m.Write([]byte(ip))
	return hex.EncodeToString(m.Sum(nil)[:16])
}
