#!/bin/sh
set -eu
for i in "$@"; do
	echo "$i" # a tab
done

