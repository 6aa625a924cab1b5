package cli_test

import (
	"strings"
	"testing"
)

func TestSigningKeysFromTheCommandLine(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, i installation) {
		first := i.run(t, "", "key", "rotate", "signing", "--now")
		first.want(t, 0)
		kid, _, _ := strings.Cut(first.out, " ")
		second := i.run(t, "", "key", "rotate", "signing")
		second.want(t, 0)
		i.run(t, "", "key", "rotate", "signing").want(t, 1, "published already")
		list := i.run(t, "", "key", "list")
		list.want(t, 0)
		if !strings.Contains(list.out, kid) || strings.Count(list.out, "active") != 1 || strings.Count(list.out, "pending") != 1 {
			t.Errorf("the list is %s", list.out)
		}
		i.run(t, "", "key", "revoke", kid).want(t, 0)
		i.run(t, "", "key", "revoke", kid).want(t, 1, "no published key")
		if list := i.run(t, "", "key", "list"); strings.Contains(list.out, kid) || strings.Count(list.out, "active") != 1 {
			t.Errorf("after the revocation the list is %s", list.out)
		}
	})
}
