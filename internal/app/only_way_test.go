package app

import (
	"errors"
	"testing"

	"github.com/rephlo/rephlo/internal/passkey"
)

// Nobody takes the only way to sign in away from themselves.
func TestTheLastPasskeyOfWhoHasNoPasswordStays(t *testing.T) {
	onEngines(t, func(t *testing.T, s *Server) {
		ctx := t.Context()
		if _, err := s.domains.Accounts.CreateAdmin(ctx, "root@example.com", "correct horse battery"); err != nil {
			t.Fatal(err)
		}
		u, err := s.domains.Accounts.CreateAdmin(ctx, "ada@example.com", "correct horse battery")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.domains.Accounts.SetStaff(ctx, u.ID, false); err != nil {
			t.Fatal(err)
		}
		u.Staff = false
		host := "localhost"
		for _, step := range []struct {
			name, sql string
			want      error
		}{
			{"without a password", `UPDATE account_user SET password = '' WHERE id = $1`, passkey.ErrOnlyWay},
			{"with an account elsewhere", `INSERT INTO federation_identity (id, issuer, subject, provider, user_id, email, created_at, last_used_at)
				VALUES ('i', 'i', 's', 'google', $1, '', 1, 1)`, nil},
		} {
			sqlRun(t, s, step.sql, u.ID)
			sqlRun(t, s, `INSERT INTO passkey_credential (id, credential, user_id, name, host, record, sign_count, suspect, created_at)
				VALUES ('pk', $2, $1, 'Mine', $3, $2, 0, FALSE, 1) ON CONFLICT DO NOTHING`, u.ID, []byte("c"), host)
			if err := s.parts.passkeys.Remove(ctx, u, "pk"); !errors.Is(err, step.want) {
				t.Errorf("%s: %v, want %v", step.name, err, step.want)
			}
		}
	})
}
