package role

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/fault"
)

// ErrAddress answers an administrator whose network is not on the list of one of
// their roles.
var ErrAddress = fault.New(fault.Forbidden, "ip_not_allowed", "Your roles do not allow to administer from this network.")

// busAllow announces that a list of networks changed; the subject is the role.
const busAllow = "role.allow"

// Network is an entry of the list from which a role may administer. A role
// without entries may do so from everywhere.
type Network struct {
	ID, RoleID string
	Prefix     netip.Prefix
	Note       string
	By         string
	At         time.Time
}

// parsePrefix reads a network, or an address as a network of one.
func parsePrefix(text string) (netip.Prefix, error) {
	text = strings.TrimSpace(text)
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, wrong("cidr", "write an address or a network, as 192.0.2.0/24 or 2001:db8::/32")
	}
	return p.Masked(), nil
}

// admits reports whether lists let somebody with these roles in from addr: each
// role that has entries must have one for it.
func admits(lists map[string][]netip.Prefix, roles []string, addr netip.Addr) bool {
	for _, name := range roles {
		list := lists[name]
		if len(list) > 0 && !slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			return false
		}
	}
	return true
}

// AdmitFrom checks that somebody with these roles may administer from an
// address, which is that of the connection.
func (s *Service) AdmitFrom(ctx context.Context, roles []string, address string) error {
	s.mu.Lock()
	lists, before := s.lists, s.changes
	s.mu.Unlock()
	if lists == nil {
		var err error
		if lists, err = s.prefixes(ctx); err != nil {
			return unavailable(err)
		}
		s.mu.Lock()
		if s.changes == before {
			s.lists = lists
		}
		s.mu.Unlock()
	}
	addr, _ := netip.ParseAddr(address) // one that is none is on no list
	if !admits(lists, roles, addr.Unmap()) {
		return ErrAddress
	}
	return nil
}

// prefixes reads the lists of all roles.
func (s *Service) prefixes(ctx context.Context) (map[string][]netip.Prefix, error) {
	all, err := s.store.networks(ctx)
	out := map[string][]netip.Prefix{}
	for _, n := range all {
		out[n.RoleID] = append(out[n.RoleID], n.Prefix)
	}
	return out, err
}

// Networks returns all entries, by role.
func (s *Service) Networks(ctx context.Context) ([]Network, error) {
	out, err := s.store.networks(ctx)
	return out, unavailable(err)
}

// Editor is who changes a list, and from where.
type Editor struct {
	By      access.Actor
	Address string
	Reason  string
}

// errLockOut is a change after which its author could not take it back.
func errLockOut() error {
	return wrong("cidr", "you administer from an address that would not be allowed any more")
}

// Allow puts a network on the list of a role. ErrUnknown: there is no such
// role; a wrong field: cidr, or the change would lock its author out.
func (s *Service) Allow(ctx context.Context, e Editor, roleID, cidr, note string) (Network, error) {
	p, err := parsePrefix(cidr)
	if err != nil {
		return Network{}, err
	}
	var n Network
	err = s.changeList(ctx, e, func(ctx context.Context, now time.Time) (c audit.Change, err error) {
		if _, err := s.byID(ctx, roleID); err != nil {
			return c, err
		}
		n = Network{ID: newID("ran", now), RoleID: roleID, Prefix: p, Note: strings.TrimSpace(note), By: e.By.UserID, At: now}
		added, err := s.store.allow(ctx, n)
		if err == nil && !added {
			err = ErrHas
		}
		return audit.Change{Action: "security.allow_network", ID: n.ID, After: shownNetwork(n)}, err
	})
	return n, err
}

// Reword changes the network or the note of an entry; nil keeps one.
func (s *Service) Reword(ctx context.Context, e Editor, networkID string, cidr, note *string) (Network, error) {
	var n Network
	err := s.changeList(ctx, e, func(ctx context.Context, _ time.Time) (c audit.Change, err error) {
		was, err := s.store.network(ctx, networkID)
		if err != nil {
			return c, err
		}
		n = was
		if cidr != nil {
			if n.Prefix, err = parsePrefix(*cidr); err != nil {
				return c, err
			}
		}
		if note != nil {
			n.Note = strings.TrimSpace(*note)
		}
		taken, err := s.store.reword(ctx, n)
		if err == nil && taken {
			err = ErrHas
		}
		return audit.Change{Action: "security.change_network", ID: n.ID, Before: shownNetwork(was), After: shownNetwork(n)}, err
	})
	return n, err
}

// Disallow takes an entry from its list.
func (s *Service) Disallow(ctx context.Context, e Editor, networkID string) error {
	return s.changeList(ctx, e, func(ctx context.Context, _ time.Time) (c audit.Change, err error) {
		was, err := s.store.network(ctx, networkID)
		if err != nil {
			return c, err
		}
		return audit.Change{Action: "security.remove_network", ID: was.ID, Before: shownNetwork(was)}, s.store.disallow(ctx, networkID)
	})
}

func shownNetwork(n Network) map[string]any {
	return map[string]any{"roleId": n.RoleID, "cidr": n.Prefix.String(), "note": n.Note}
}

// changeList runs f as the only one who changes rights, and undoes it when its
// author would be locked out.
func (s *Service) changeList(ctx context.Context, e Editor, f func(ctx context.Context, now time.Time) (audit.Change, error)) error {
	return unavailable(s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.lock(ctx); err != nil {
			return err
		}
		c, err := f(ctx, s.Now().UTC().Truncate(time.Microsecond))
		if err != nil {
			return err
		}
		lists, err := s.prefixes(ctx)
		if err != nil {
			return err
		}
		addr, _ := netip.ParseAddr(e.Address)
		if !admits(lists, e.By.Roles, addr.Unmap()) {
			return errLockOut()
		}
		c.Type, c.Reason = "network", e.Reason
		if err := s.Audit.Write(ctx, c); err != nil {
			return err
		}
		return s.Bus.Publish(ctx, busAllow, c.ID)
	}))
}
