// Package upstream sends calls to services over HTTP for all vendors. Only a
// 200 in the announced form is a reply; everything else becomes an llm.Failure,
// because the vendor's text may name the operator's account. Nothing of the
// caller's headers is sent on but what a Call names.
package upstream
