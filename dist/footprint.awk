# make footprint: reads the linker's map and prints the bytes of the program's
# file by room and by library, then the largest objects.  Memory that is zero at
# the start (.bss) is in a column of its own: it takes none of the file.

/^Linker script and memory map/ { placed = 1 }
!placed { next }
/^\.(text|rodata|init|fini|data|bss|eh_frame|got|tdata|init_array|fini_array|comment)/ {
	output = $1
}
/^\/DISCARD\/|^\.(comment|debug)/ { output = "" }
# The name of a long section stands on a line of its own.
/^ [.*][^ ]*$/ { pending = 1; next }
/^ +0x[0-9a-f]+ +0x[0-9a-f]+ [^ ]/ && pending { count($2, $3) }
/^ [.*][^ ]* +0x[0-9a-f]+ +0x[0-9a-f]+ [^ ]/ { count($3, $4) }
/^ \*fill\*/ { add("(padding)", "", number($3)) }
{ pending = 0 }

function number(hex,    i, v) {
	hex = tolower(substr(hex, 3))
	for (i = 1; i <= length(hex); i++)
		v = v * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
	return v + 0
}

function count(size, from,    room, object) {
	if (output == "")
		return
	size = number(size)
	object = from
	if (match(from, /lib[a-z_]+\.a\(/)) {
		room = substr(from, RSTART, RLENGTH - 1)
		object = room " " substr(from, RSTART + RLENGTH)
		sub(/\)$/, "", object)
	} else if (match(from, /build\/obj\//)) {
		object = room = substr(from, RSTART + RLENGTH)
		sub(/\.o$/, ".c", object)
		if (!sub(/\/[^\/]*$/, "", room))
			room = object
	} else
		room = "(start of the program)"
	if (room == "libbearssl.a")
		family(object, size)
	add(room, object, size)
}

function add(room, object, size) {
	if (output == ".bss") {
		zero[room] += size
		return
	}
	rooms[room] += size
	objects[object] += size
	total += size
}

# BearSSL names its files by what they do.
function family(object, size,    name) {
	if (output == ".bss")
		return
	name = object
	sub(/^[^ ]* /, "", name)
	if (name ~ /^(ec_|ecdsa)/) name = "elliptic curves"
	else if (name ~ /^(rsa|i15|i31|i32|i62)/) name = "RSA and large numbers"
	else if (name ~ /^(x509|asn1|pem|skey|pkey|encode)/) name = "X.509"
	else if (name ~ /^(ssl|prf)/) name = "TLS"
	else if (name ~ /^(aes|ghash|gcm|chacha|poly|ccm|eax)/)
		name = "ciphers"
	else if (name ~ /^(sha|md5|hmac|multihash|dig|hkdf|shake|mgf)/)
		name = "digests"
	else name = "the rest"
	families["  of it " name] += size
}

function table(sizes, least, with_zero,    name, line) {
	for (name in sizes)
		if (sizes[name] >= least && name != "") {
			line = sprintf("%9d  %s", sizes[name], name)
			if (with_zero && zero[name])
				line = line sprintf("  (+ %d zeros in memory)",
				    zero[name])
			print line | "sort -rn"
		}
	close("sort -rn")
}

END {
	if (!total) {
		print "footprint: no sections in the map" >"/dev/stderr"
		exit 1
	}
	print "bytes of the program by room and library:"
	table(rooms, 1, 1)
	printf "%9d  together\n\n", total
	print "BearSSL by what it is for:"
	table(families, 1)
	print "\nthe largest objects:"
	table(objects, least ? least : 2000)
}
