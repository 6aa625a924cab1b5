package credit

import "testing"

func FuzzSpooled(f *testing.F) {
	f.Add([]byte(`{"ref":"call_1","user":"usr_1","price":12,"ending":"finished","record":{"id":"call_1"}}`))
	f.Add([]byte(`{"ref":"call_1","user":"usr_1","price":-1,"ending":"finished"}`))
	f.Add([]byte(`{"ref":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeSpooled(b)
		if err != nil {
			return
		}
		if s.Ref == "" || len(s.Ref) > maxRef || s.User == "" || s.Price < 0 || s.Ending == "" {
			t.Fatalf("%+v from %q", s, b)
		}
	})
}
