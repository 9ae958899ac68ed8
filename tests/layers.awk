# layers.awk: includes only go down the list of parts in README.
# Every violation is printed as FILE:LINE; exit 1 if there was one.

BEGIN {
	level["sendroute"] = 10
	level["lib/front"] = 9
	level["smtp"] = level["ses"] = 8
	level["lib/relay"] = 7
	level["lib/store"] = 6
	level["lib/aws"] = 5
	level["lib/mail"] = 4
	level["lib/config"] = 3
	level["lib/net"] = level["bearssl-glue"] = 2
	level["lib/base"] = 1
	level["lib/small"] = 0
	allowed("bearssl", bearssl)
	allowed("cJSON", cjson)
	for (i = 1; i < ARGC; i++)
		if (ARGV[i] ~ /\.[ch]$/)
			judge_place(ARGV[i])
}

function judge_place(file) {
	files++
	if (room(file) in level)
		return
	printf "%s:1: this file has no place in the house\n", file
	bad = 1
}

function allowed(header, files,    n, i, f) {
	n = split(files, f)
	for (i = 1; i <= n; i++)
		may[header, f[i]] = 1
}

# The room of a file: its folder below lib/, or its own name on top.
function room(file) {
	if (file ~ /^lib\/[^\/]+\/[^\/]+$/) {
		sub(/\/[^\/]*$/, "", file)
		return file
	}
	sub(/\.[ch]$/, "", file)
	return file
}

function complain(text) {
	printf "%s:%d: %s\n", FILENAME, FNR, text
	bad = 1
}

function check_own(target,    from, to) {
	from = room(FILENAME)
	to = room(target)
	if (!(to in level))
		complain("\"" target "\" is no path of the house, from the top")
	else if (level[to] > level[from])
		complain(from " includes " target ", which stands above it")
	else if (from != to && level[from] == 8 && level[to] == 8)
		complain(from " includes " target "; they must not know each other")
}

/^[ \t]*#[ \t]*include/ {
	target = $0
	sub(/^[ \t]*#[ \t]*include[ \t]*/, "", target)
	own = target ~ /^"/
	if (target !~ /^[<"]/) {
		complain("an include that cannot be judged")
		next
	}
	target = substr(target, 2)
	sub(/[>"].*/, "", target)
	name = target
	sub(/.*\//, "", name)
	header = name ~ /^bearssl.*\.h$/ && name != "bearssl-glue.h" ? "bearssl" \
	    : name ~ /^cJSON.*\.h$/ ? "cJSON" : ""
	if (header != "") {
		if (!((header, FILENAME) in may))
			complain(name " may not be included here")
	} else if (own)
		check_own(target)
	else if (target ~ /^lib\// || (room(target) in level))
		complain("own headers are included with quotes")
	includes++
}

END {
	if (!files) {
		print "layers: no files"
		exit 1
	}
	if (!bad)
		printf "layers: %d files, %d includes, all go down\n", files, \
		    includes
	exit bad
}
