"""What the pages behind links say, in each language."""

from __future__ import annotations

from collections.abc import Mapping

from shared.types import Language

__all__ = ["TEXTS"]

_EN = {
    "offer": "An appointment has become free for you",
    "offer until": "It is held for you until {until}.",
    "accept": "Take this appointment",
    "decline": "No, thank you",
    "accepted": "The appointment is yours",
    "declined": "The appointment goes to somebody else",
    "still waiting": "You stay on the waiting list.",
    "offer over": "This offer is over",
    "reminder": "Your appointment",
    "acknowledge": "I will come",
    "cancel": "Cancel the appointment",
    "acknowledged": "Thank you, see you then",
    "cancelled": "Your appointment is cancelled",
    "not now": "This cannot be done here any more: please call the clinic",
    "gone": "This link has expired",
    "unknown": "This link is not complete: open it from the e-mail again",
    "later": "Something went wrong: please try again in a moment",
    "nothing": "There is nothing to do here any more.",
}
_RO = {
    "offer": "S-a eliberat o programare pentru dumneavoastră",
    "offer until": "Vă este rezervată până {until}.",
    "accept": "Accept programarea",
    "decline": "Nu, mulțumesc",
    "accepted": "Programarea este a dumneavoastră",
    "declined": "Programarea va fi oferită altcuiva",
    "still waiting": "Rămâneți pe lista de așteptare.",
    "offer over": "Oferta nu mai este valabilă",
    "reminder": "Programarea dumneavoastră",
    "acknowledge": "Voi veni",
    "cancel": "Anulez programarea",
    "acknowledged": "Vă mulțumim, vă așteptăm",
    "cancelled": "Programarea a fost anulată",
    "not now": "Acest lucru nu se mai poate face aici: vă rugăm să sunați la clinică",
    "gone": "Acest link a expirat",
    "unknown": "Linkul nu este complet: deschideți-l din nou din e-mail",
    "later": "Ceva nu a funcționat: vă rugăm să încercați din nou imediat",
    "nothing": "Nu mai este nimic de făcut aici.",
}
_ID = {
    "offer": "Ada janji temu kosong untuk Anda",
    "offer until": "Disimpan untuk Anda sampai {until}.",
    "accept": "Ambil janji temu ini",
    "decline": "Tidak, terima kasih",
    "accepted": "Janji temu ini milik Anda",
    "declined": "Janji temu ini ditawarkan kepada orang lain",
    "still waiting": "Anda tetap dalam daftar tunggu.",
    "offer over": "Penawaran ini sudah berakhir",
    "reminder": "Janji temu Anda",
    "acknowledge": "Saya akan datang",
    "cancel": "Batalkan janji temu",
    "acknowledged": "Terima kasih, sampai jumpa",
    "cancelled": "Janji temu Anda dibatalkan",
    "not now": "Ini tidak dapat dilakukan di sini lagi: silakan hubungi klinik",
    "gone": "Tautan ini sudah kedaluwarsa",
    "unknown": "Tautan ini tidak lengkap: buka lagi dari email",
    "later": "Terjadi kesalahan: silakan coba lagi sebentar",
    "nothing": "Tidak ada lagi yang perlu dilakukan di sini.",
}

TEXTS: Mapping[Language, Mapping[str, str]] = {"en": _EN, "ro": _RO, "id": _ID}
"""Language -> key -> text; each language has the same keys."""
