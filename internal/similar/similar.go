// Package similar compares names that people mistyped.
package similar

// Distance returns how many characters to insert, delete or replace to get
// from a to b (Levenshtein). It costs len(a) times len(b), so callers bound
// what outsiders send.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
