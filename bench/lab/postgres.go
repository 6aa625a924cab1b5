package lab

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the "pgx" driver
)

// Postgres makes a database of its own on the server and returns its address
// and what removes it.
func Postgres(ctx context.Context, server string) (address string, drop func(), err error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", nil, err
	}
	db, err := sql.Open("pgx", server)
	if err != nil {
		return "", nil, err
	}
	name := "rephlo_bench_" + strings.ToLower(rand.Text()[:10])
	if _, err := db.ExecContext(ctx, `CREATE DATABASE "`+name+`"`); err != nil {
		db.Close()
		return "", nil, err
	}
	u.Path = "/" + name
	return u.String(), func() {
		_, _ = db.ExecContext(context.WithoutCancel(ctx), `DROP DATABASE "`+name+`" WITH (FORCE)`)
		db.Close()
	}, nil
}
