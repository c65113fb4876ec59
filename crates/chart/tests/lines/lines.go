// Package lines lets a program answer questions, a JSON line each, in order.
package lines

import (
	"bufio"
	"encoding/json"
	"os"
)

// Serve answers until the input ends.
func Serve[Q, A any](reply func(Q) A) {
	in := json.NewDecoder(bufio.NewReaderSize(os.Stdin, 1<<20))
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	e := json.NewEncoder(out)
	for {
		var q Q
		if in.Decode(&q) != nil {
			return
		}
		_ = e.Encode(reply(q))
	}
}
