package branding

// For tests.
var (
	KindOf = kindOf
	Older  = older
)
